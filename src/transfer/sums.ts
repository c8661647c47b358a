import { decodeName } from "../vault/names.ts";

/** What an export says of its contents (docs/container.md, `sums` and `parts`), and whether it is true. Pure. */

/** `partSize`: the hash is of the parts' hashes. */
export interface Sum {
  sha256: string;
  partSize: number | null;
}

/** By path; null for what is not such a file. */
export function parseSums(sums: Uint8Array, parts: Uint8Array): Map<string, Sum> | null {
  const all = new Map<string, Sum>();
  const whole = linesOf(sums).every((line) => {
    const match = /^(\\?)([0-9a-f]{64}) {2}(.+)$/s.exec(line);
    if (match) all.set(unescaped(match[3] ?? "", match[1] === "\\"), { sha256: match[2] ?? "", partSize: null });
    return match !== null;
  });
  const inParts = linesOf(parts).every((line) => {
    const match = /^(\\?)(\d{1,15}) ([0-9a-f]{64}) (.+)$/s.exec(line);
    const partSize = Number(match?.[2]);
    if (match) all.set(unescaped(match[4] ?? "", match[1] === "\\"), { sha256: match[3] ?? "", partSize });
    return match !== null && partSize > 0;
  });
  return whole && inParts ? all : null;
}

const linesOf = (bytes: Uint8Array): string[] => {
  const text = decodeName(bytes);
  return text === "" ? [] : text.replace(/\n$/, "").split("\n");
};

function unescaped(name: string, isEscaped: boolean): string {
  if (!isEscaped) return name;
  const meant: Record<string, string> = { "\\\\": "\\", "\\n": "\n", "\\r": "\r" };
  return name.replace(/\\[\\nr]/g, (escaped) => meant[escaped] ?? escaped);
}
