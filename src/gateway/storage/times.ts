import type { ListedObject } from "../../vault/storage.ts";

/** The file's own mod-time to the nanosecond: with `--use-server-modtime` an unchanged tree then needs no HEAD (design §4). */
export function isoNanoseconds({ mtimeNs }: Pick<ListedObject, "mtimeNs">): string {
  const { ms, fraction } = splitTime(mtimeNs);
  return `${new Date(ms).toISOString().slice(0, 19)}.${fraction}Z`;
}

/** For `Last-Modified` and conditions. */
export const httpDate = (mtimeNs: string): string => new Date(splitTime(mtimeNs).ms).toUTCString();
export const milliseconds = (mtimeNs: string): number => splitTime(mtimeNs).ms;

function splitTime(mtimeNs: string): { ms: number; fraction: string } {
  const ns = BigInt(mtimeNs);
  const second = 1_000_000_000n;
  const fraction = ((ns % second) + second) % second;
  // S3 dates have four digits of year; a stranger time is listed as the last or first of them.
  const seconds = Math.min(Math.max(Number((ns - fraction) / second), -62_135_596_800), 253_402_300_799);
  return { ms: seconds * 1000, fraction: String(fraction).padStart(9, "0") };
}
