import { decodeName, encodeName } from "../vault/names.ts";

/**
 * A path as a request names it. File names are bytes; here they are text as `src/vault/names.ts` writes them. Normalised: no empty
 * or `.` components, no slash at either end. `state`: relative to the state volume. `container`: what stood behind a leading slash.
 */
export interface FilePath {
  from: "state" | "container";
  path: string;
}

/** A volume of a workload, and a path below it; empty for the volume itself. */
export interface Located {
  volume: VolumeName;
  containerPath: string;
  path: string;
}
/** Files can be asked for in these; what lies in `secrets` is nobody's to read. */
export type VolumeName = "state" | "comm";
export type Volumes = Readonly<Partial<Record<VolumeName | "secrets", { containerPath: string } | undefined>>>;

/** As long as an S3 key may be; the longest name is the file system's. */
export const MAX_PATH_BYTES = 1_024;
const MAX_NAME_BYTES = 255;

export type Parsed = { ok: true; value: FilePath } | { ok: false; detail: string };

/** Pure. `emptyIs` says whether no path at all means the state volume itself (a listing). */
export function parsePath(bytes: Uint8Array, emptyIs: "refused" | "the state volume" = "refused"): Parsed {
  if (bytes.includes(0)) return refused("contains NUL");
  const text = decodeName(bytes);
  const from = text.startsWith("/") ? "container" : "state";
  const names = text.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) return refused("contains `..`");
  if (names.length === 0 && (emptyIs === "refused" || from === "container")) return refused("is empty");
  if (names.some((name) => encodeName(name).length > MAX_NAME_BYTES)) {
    return refused(`has a name of more than ${MAX_NAME_BYTES} bytes`);
  }
  const path = names.join("/");
  if (encodeName(path).length > MAX_PATH_BYTES) return refused(`is longer than ${MAX_PATH_BYTES} bytes`);
  return { ok: true, value: { from, path } };
}

/** The same of a path in JSON. */
export const parseText = (text: string, emptyIs?: "the state volume"): Parsed =>
  parsePath(encodeName(text), emptyIs ?? "refused");

const refused = (what: string): Parsed => ({ ok: false, detail: `The path ${what}.` });

/** Where a path lies among a workload's volumes; null when it lies in none that files can be asked for in. Pure. */
export function locate({ from, path }: FilePath, volumes: Volumes): Located | null {
  if (from === "state") {
    return volumes.state ? { volume: "state", containerPath: volumes.state.containerPath, path } : null;
  }
  for (const volume of ["state", "comm"] as const) {
    const containerPath = volumes[volume]?.containerPath;
    if (containerPath === undefined) continue;
    const root = containerPath.replace(/^\/+|\/+$/g, "");
    if (path === root) return { volume, containerPath, path: "" };
    if (path.startsWith(`${root}/`)) return { volume, containerPath, path: path.slice(root.length + 1) };
  }
  return null;
}

/** As answers show it. */
export const shown = ({ from, path }: FilePath): string => (from === "container" ? `/${path}` : path);

const UNRESERVED = /[A-Za-z0-9._~/-]/;

/** As the control port takes a path in its query, and as a URL of the API holds it: every other byte as %XX. */
export function percentEncoded(path: string): string {
  let out = "";
  for (const byte of encodeName(path)) {
    const character = String.fromCharCode(byte);
    out += UNRESERVED.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return out;
}

/** The bytes of a percent-encoded path; null where a `%` is not followed by two hexadecimal digits. Pure. */
export function percentDecoded(text: string): Uint8Array | null {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (text[at] !== "%") {
      if (code > 0x7f) return null; // a URL holds none
      bytes.push(code);
      continue;
    }
    const digits = text.slice(at + 1, at + 3);
    if (!/^[0-9A-Fa-f]{2}$/.test(digits)) return null;
    bytes.push(Number.parseInt(digits, 16));
    at += 2;
  }
  return Uint8Array.from(bytes);
}
