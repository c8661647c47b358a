import type { Step } from "../history/events.ts";

/** What is simpler than a step: less time after it, fewer times, no wait. The simplest first. */
export function simpler({ event, thenMs }: Step): Step[] {
  const calmer: Step["event"][] = [];
  if ("times" in event && event.times > 1) calmer.push({ ...event, times: 1 });
  if ("nth" in event && event.nth > 1) calmer.push({ ...event, nth: 1 });
  if ("waitMs" in event && event.waitMs > 0) calmer.push({ ...event, waitMs: 0 });
  const sooner = thenMs > 0 ? [0, round(thenMs)].filter((ms) => ms !== thenMs) : [];
  return [...calmer.map((one) => ({ event: one, thenMs })), ...sooner.map((ms) => ({ event, thenMs: ms }))];
}

/** To one digit, which reads better. */
const round = (ms: number): number => {
  const unit = 10 ** Math.floor(Math.log10(ms));
  return Math.round(ms / unit) * unit;
};
