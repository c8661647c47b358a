import type { Limits } from "./events.ts";
import type { Operation } from "./record.ts";

/** How long a start waits for room where its pool or its tier is full, before it ends with `capacity_exhausted`. Pure. */
export const ROOM_MS = {
  /** A request, or its lifecycle, wakes the tenant: shorter than the proxy holds that request. */
  wake: 20_000,
  /** Another container of the tenant makes the room: it counts until it is confirmed gone. */
  replace: 30_000,
} as const;

/** Of what whoever asks waits: a little less, so that they are told that there is no room and not that it goes on. */
export const roomWithin = (waitMs: number): number => Math.floor(waitMs - Math.min(500, waitMs / 5));

/** The operation from when it begins to start a container: it waits so long for room, or longer if it was asked to, and has its whole time after that. */
export function startingAt(operation: Operation, at: number, roomMs: number, { startMs }: Limits): Operation {
  const { capacityUntil = 0, ...rest } = operation;
  const until = Math.max(capacityUntil, at + roomMs);
  return { ...rest, deadlineAt: until + startMs, ...(until > at ? { capacityUntil: until } : {}) };
}
