/**
 * How often an object looks at what it is responsible for, in ms, before jitter; and how long it leaves alone what just
 * failed. No cooldown is a multiple of a cadence, nor the other way round: one that is would end together with a look, and
 * half of the looks would find it not quite over (test/unit/cadence.test.ts).
 */
export const CADENCE = {
  /** A container that serves, or is kept after a failed save. */
  active: 60_000,
  /** An operation in flight: whether somebody performs it still. */
  transitional: 10_000,
  /** A destruction, growing to `destroyingLast`. */
  destroying: 60_000,
  destroyingLast: 600_000,
} as const;

export const COOLDOWN = {
  /** After a wake by the lifecycle that failed. */
  wake: 47_000,
  /** Until a container that did not go is told to go again, growing to `retireLast`. */
  retire: 7_000,
  retireLast: 293_000,
  /** D1 is told soon after a change; should that be lost with this object's memory, this much later. */
  delivery: 53_000,
  /** An object without a record that nothing is known of is not looked for again so soon. */
  rebuild: 43_000,
  /** Until a tier at whose cap claims of a pool were refused counts as one with room again, when no more are. */
  fullTier: 307_000,
} as const;

/** `jitter` in [0, 1) spreads a cadence by up to a fifth, so that what began together does not stay together. */
export const spread = (ms: number, jitter: number): number => ms * (1 + jitter / 5);
