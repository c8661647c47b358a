import { spawn } from "node:child_process";
import { ROOT } from "../paths.ts";

/**
 * Runs vitest to its end, and returns its exit code; null where it did not end by itself. A signal that is meant to end us
 * ends it too: nobody else knows of it, and what it started.
 */
export function runVitest(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number | null> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [`${ROOT}/node_modules/vitest/vitest.mjs`, "run", ...args], {
      cwd: ROOT,
      stdio: "inherit",
      env: { ...process.env, ...env, CI: "1" },
    });
    const end = (signal: NodeJS.Signals) => child.kill(signal);
    const over = (code: number | null) => {
      process.off("SIGTERM", end);
      resolve(code);
    };
    process.on("SIGTERM", end); // Ctrl-C goes to both
    child.on("error", () => over(null));
    child.on("exit", over);
  });
}
