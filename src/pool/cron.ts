/**
 * Cron expressions of five fields, in UTC, which has no daylight saving: minute, hour, day of the month, month, day of the
 * week (0 and 7 are Sunday, also at the end of a range). `*`, numbers, names of months and days, ranges, steps and lists. As in every cron: where both
 * days are limited, either will do. Pure; times in ms since 1970.
 */

export interface Cron {
  /** Ascending. */
  minutes: readonly number[];
  hours: readonly number[];
  days: ReadonlySet<number>;
  months: ReadonlySet<number>;
  weekdays: ReadonlySet<number>;
  /** Whether the days are limited by both fields. */
  eitherDay: boolean;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** The 29th of February comes at least once in so many days, also around 2100. */
const HORIZON_DAYS = 8 * 366;

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

interface Field {
  name: string;
  from: number;
  to: number;
  names?: readonly string[];
}

/** The other name of day 0. */
const SUNDAY = 7;

const FIELDS: readonly Field[] = [
  { name: "minute", from: 0, to: 59 },
  { name: "hour", from: 0, to: 23 },
  { name: "day of the month", from: 1, to: 31 },
  { name: "month", from: 1, to: 12, names: MONTHS },
  { name: "day of the week", from: 0, to: SUNDAY, names: WEEKDAYS },
];

/** The expression, or what is wrong with it, for a person. */
export function parseCron(text: string): { cron: Cron; problem?: never } | { cron: null; problem: string } {
  const parts = text.trim().split(/\s+/);
  if (parts.length !== FIELDS.length) {
    return { cron: null, problem: "must be five fields: minute, hour, day of the month, month, day of the week" };
  }
  const sets: Set<number>[] = [];
  for (const [index, field] of FIELDS.entries()) {
    const values = valuesOf(parts[index] ?? "", field);
    if (typeof values === "string") return { cron: null, problem: values };
    sets.push(values);
  }
  const [minutes, hours, days, months, weekdays] = sets as [
    Set<number>,
    Set<number>,
    Set<number>,
    Set<number>,
    Set<number>,
  ];
  if (weekdays.delete(SUNDAY)) weekdays.add(0);
  const cron: Cron = {
    minutes: [...minutes].sort((a, b) => a - b),
    hours: [...hours].sort((a, b) => a - b),
    days,
    months,
    weekdays,
    eitherDay: !parts[2]?.startsWith("*") && !parts[4]?.startsWith("*"),
  };
  if (nextMatch(cron, 0) === null) return { cron: null, problem: "names a day that never comes" };
  return { cron };
}

function valuesOf(text: string, field: Field): Set<number> | string {
  const values = new Set<number>();
  for (const part of text.split(",")) {
    const match = /^(?:(\*)|([a-z]{3}|\d{1,2})(?:-([a-z]{3}|\d{1,2}))?)(?:\/(\d{1,2}))?$/i.exec(part);
    if (!match) return `has ${JSON.stringify(part)} as ${field.name}, which is no number, range or step`;
    const [, star, first, last, stride] = match;
    const from = star ? field.from : numberOf(first, field);
    const end = star ? field.to : last ? numberOf(last, field) : stride ? field.to : from;
    const step = stride ? Number(stride) : 1;
    if (from === null || end === null || step < 1) {
      return `has ${JSON.stringify(part)} as ${field.name}, which is from ${field.from} to ${field.to}`;
    }
    const to = end === 0 && from > 0 && field.to === SUNDAY ? SUNDAY : end;
    if (from > to) return `has ${JSON.stringify(part)} as ${field.name}, a range that goes backwards`;
    for (let value = from; value <= to; value += step) values.add(value);
  }
  return values;
}

function numberOf(text: string | undefined, { from, to, names }: Field): number | null {
  const named = names?.indexOf(text?.toLowerCase() ?? "") ?? -1;
  const value = named >= 0 ? named + (names === MONTHS ? 1 : 0) : Number(text);
  return Number.isInteger(value) && value >= from && value <= to ? value : null;
}

const isMonth = ({ months }: Cron, midnight: number): boolean => months.has(new Date(midnight).getUTCMonth() + 1);

function isDay(cron: Cron, midnight: number): boolean {
  if (!isMonth(cron, midnight)) return false;
  const { days, weekdays, eitherDay } = cron;
  const date = new Date(midnight);
  const [day, weekday] = [days.has(date.getUTCDate()), weekdays.has(date.getUTCDay())];
  return eitherDay ? day || weekday : day && weekday;
}

/** The latest match at or before `now` that is less than `withinMs` ago; null without one. */
export function lastMatch(cron: Cron, now: number, withinMs: number): number | null {
  for (let midnight = dayOf(now); midnight + DAY_MS > now - withinMs; midnight -= DAY_MS) {
    if (!isDay(cron, midnight)) continue;
    const minute = latest(cron, Math.min(Math.floor((now - midnight) / MINUTE_MS), 24 * 60 - 1));
    if (minute === null) continue;
    const at = midnight + minute * MINUTE_MS;
    return now - at < withinMs ? at : null;
  }
  return null;
}

/** The first match after `now`; null when none comes. */
export function nextMatch(cron: Cron, now: number): number | null {
  const today = dayOf(now);
  for (let midnight = today; midnight < today + HORIZON_DAYS * DAY_MS; midnight = nextDay(cron, midnight)) {
    if (!isDay(cron, midnight)) continue;
    const minute = earliest(cron, midnight === today ? Math.floor((now - midnight) / MINUTE_MS) + 1 : 0);
    if (minute !== null) return midnight + minute * MINUTE_MS;
  }
  return null;
}

/** The day after; of a month without any match, the first of the next. */
function nextDay(cron: Cron, midnight: number): number {
  if (isMonth(cron, midnight)) return midnight + DAY_MS;
  const date = new Date(midnight);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
}

const dayOf = (now: number): number => Math.floor(now / DAY_MS) * DAY_MS;

/** Minutes of the day. */
function earliest({ hours, minutes }: Cron, from: number): number | null {
  for (const hour of hours) {
    const minute = minutes.find((one) => hour * 60 + one >= from);
    if (minute !== undefined) return hour * 60 + minute;
  }
  return null;
}
function latest({ hours, minutes }: Cron, to: number): number | null {
  for (const hour of hours.toReversed()) {
    const minute = minutes.findLast((one) => hour * 60 + one <= to);
    if (minute !== undefined) return hour * 60 + minute;
  }
  return null;
}
