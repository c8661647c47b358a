import { laps } from "../harness/laps.ts";
import { median } from "../harness/statistics.ts";
import type { Life } from "./life.ts";

type Kind = "fresh" | "changed" | "unchanged";

export const ms = (lives: readonly Life[], kind: Kind): number[] => lives.map((life) => life[kind].ms);
export const restoreMs = (lives: readonly Life[]): number[] => restoresOf(lives).map((restore) => restore.ms);

/** Where the time of a kind of save went. */
export function note(lives: readonly Life[], kind: Kind): string {
  const requests = median(lives.map((life) => life[kind].requests));
  return `${laps(lives.map((life) => life[kind]))} · ${requests.toFixed(0)} storage requests`;
}

/** Where the time of the claims went that restored. */
export const restoreNote = (lives: readonly Life[]): string => laps(restoresOf(lives));

const restoresOf = (lives: readonly Life[]) => lives.flatMap(({ restores }) => restores);
