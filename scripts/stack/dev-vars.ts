import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

/** Writes fresh secrets, readable to this user alone; a file that exists is never touched. Returns whether it wrote. */
export function writeDevVars(path: string): boolean {
  if (existsSync(path)) return false;
  const lines = [
    "# Secrets of this checkout's local system. Made by `npm start`, which never changes them; delete the file for new ones.",
    `ADMIN_KEY=${randomBytes(24).toString("base64url")}`,
    `SECRETS_KEY=${randomBytes(32).toString("base64")}`,
  ];
  writeFileSync(path, `${lines.join("\n")}\n`, { mode: 0o600, flag: "wx" });
  return true;
}

/** The variables of a file of `NAME=value` lines. */
export function readVars(path: string): Record<string, string> {
  const pairs = readFileSync(path, "utf8")
    .split("\n")
    .flatMap((line): [string, string][] => {
      const found = /^\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*$/.exec(line);
      return found ? [[found[1] ?? "", (found[2] ?? "").replace(/^"(.*)"$/, "$1")]] : [];
    });
  return Object.fromEntries(pairs);
}
