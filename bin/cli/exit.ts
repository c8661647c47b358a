import { BoilerhouseError } from "../../src/client/index.ts";

/** How the command ends (docs/cli.md). */
export const EXIT = {
  ok: 0,
  /** The API refused, or something is wrong that no other code says. */
  refused: 1,
  usage: 2,
  notFound: 3,
  notAllowed: 4,
  conflict: 5,
  /** Not now: no capacity, too many requests, or not done in time. */
  unavailable: 6,
  noConnection: 7,
} as const;

/** What was typed cannot be done; the message says what to type instead. */
export class UsageError extends Error {}

const BY_STATUS: Readonly<Record<number, number>> = {
  401: EXIT.notAllowed,
  403: EXIT.notAllowed,
  404: EXIT.notFound,
  409: EXIT.conflict,
  412: EXIT.conflict,
  429: EXIT.unavailable,
  502: EXIT.unavailable,
  503: EXIT.unavailable,
  504: EXIT.unavailable,
};

/** Total. */
export function exitCodeOf(problem: unknown): number {
  if (problem instanceof UsageError) return EXIT.usage;
  if (!(problem instanceof BoilerhouseError)) return EXIT.refused;
  if (problem.code === "no_connection") return EXIT.noConnection;
  if (problem.code === "timed_out") return EXIT.unavailable;
  return BY_STATUS[problem.status] ?? EXIT.refused;
}
