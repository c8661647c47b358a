import { type Cron, lastMatch, nextMatch, parseCron } from "./cron.ts";

/** How many slots are kept warm at which times: windows that begin by a cron expression (UTC) and last. Pure; ms since 1970. */

export interface Window {
  /** Minute, hour, day of the month, month, day of the week; in UTC. */
  cron: string;
  durationMs: number;
  /** Instead of the pool's own minSize, while the window is open. */
  minSize: number;
}

const parsed = new Map<string, Cron | null>();
function cronOf(text: string): Cron | null {
  const known = parsed.get(text);
  if (known !== undefined) return known;
  if (parsed.size > 1_000) parsed.clear();
  const { cron } = parseCron(text);
  parsed.set(text, cron);
  return cron;
}

/** When a window that is open at `now` began; null when it is closed. */
function openedAt({ cron, durationMs }: Window, now: number): number | null {
  const known = cronOf(cron);
  return known && lastMatch(known, now, durationMs);
}

/** What the schedule says now: of the open windows the largest, null while none is open. */
export function scheduledSize(windows: readonly Window[] | undefined, now: number): number | null {
  const open = (windows ?? []).filter((window) => openedAt(window, now) !== null);
  return open.length === 0 ? null : Math.max(...open.map((window) => window.minSize));
}

/** When it may say something else: the next beginning or end of a window; null without any. */
export function nextEdge(windows: readonly Window[] | undefined, now: number): number | null {
  const edges = (windows ?? []).flatMap((window) => {
    const cron = cronOf(window.cron);
    if (!cron) return [];
    const opened = openedAt(window, now);
    const next = nextMatch(cron, now);
    return [...(opened === null ? [] : [opened + window.durationMs]), ...(next === null ? [] : [next])];
  });
  return edges.length === 0 ? null : Math.min(...edges);
}
