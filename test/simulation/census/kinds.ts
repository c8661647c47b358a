/**
 * What has to happen in histories, by the line that a trace has when it did: not where it was drawn, but where it struck,
 * and where something came of it.
 */

/** What clients and operators ask for. */
const ASKED = {
  "a claim is served": / tenant\.assigned /,
  "a claim of a tenant that is there": / answers claim \S+: 200 existing$/,
  "claims of one tenant at once": / asks claim \S+ beside /,
  "a claim for which there is no room": / answers claim \S+: \d+ capacity_exhausted$/,
  "a release": / tenant\.released /,
  "a request that reaches its container": / Container\/\S+ gets (GET|PUT|DELETE) of /,
  "a request on a route that is stale": / Instance\/\S+ says (stale|moved)$/,
  "a frame of a socket": / socket message$/,
  "another tier": / container\.created \{.*"tier":"basic"/,
  "another image, rolled out": / pool\.rollout_ended /,
  "a destruction": / tenant\.destroyed /,
  "a suspension": / tenant\.suspended /,
} as const satisfies Record<string, RegExp>;

/** What goes wrong: in a history without faults none of it happens. */
export const FAULTS = {
  // With containers.
  "a crash": / tenant\.\S+ \{.*"cause":"exited"/,
  "an end for want of memory": / container\.oom /,
  "a hang": / tenant\.\S+ \{.*"cause":"hung"/,
  "a start that never returns": / fault \{"how":"hang"\} at ready of /,
  "a start that returns after its deadline": / fault \{"how":"slow","ms":(1[89]|[2-9]\d)\d{4}\} at ready of /,
  "a container that only seems to run": / fault \{"how":"lose"\} at ready of /,
  "a start for which there is no room": / fault \{"how":"fail".*"code":"capacity".*\} at start of /,
  "starts that come too fast": / fault \{"how":"fail".*"code":"rate_limited".*\} at start of /,
  "a container that is given up at its start": / container\.destroyed \{.*"reason":"start_failed"/,
  "a body of a restore that breaks off": / fault \{"how":"truncate"\} at restore of /,
  // With messages, objects and their alarms.
  "a call that is lost": / fault \{"do":"(fail|lose)".*\} at deliver /,
  "a reply that is lost": / fault \{"do":"(fail|lose)".*\} at reply /,
  "a reply that is late": / fault \{"do":"delay".*\} at reply /,
  "an alarm that is late": / fault \{"do":"delay".*\} at alarm /,
  "an alarm that is lost": / fault \{"do":"lose"\} at alarm /,
  "an alarm that rings twice": / fault \{"do":"twice"\} at alarm /,
  "an eviction": /^\d+ evict /,
  "an eviction between two effects": / interrupts \S+ \(evict\)$/,
  "a code update between two effects": /^\d+ deploy$/,
  "two live copies of an object": /^\d+ two copies of /,
  // With storage and time.
  "R2 fails": / fault \{"do":"fail".*\} at r2 /,
  "R2 does it and fails": / fault \{"do":"fail".*\} at r2-reply /,
  "D1 fails": / fault \{"do":"fail".*\} at d1 /,
  "D1 does it and fails": / fault \{"do":"fail".*\} at d1-reply /,
  "a body of R2 that breaks off": / fault \{"do":"truncate".*\} at body R2/,
  "the clock jumps on": / the clock jumps \d/,
  "the clock jumps back": / the clock jumps -/,
} as const satisfies Record<string, RegExp>;

export const KINDS = { ...ASKED, ...FAULTS };
export type Kind = keyof typeof KINDS;
export type Census = Readonly<Record<Kind, number>>;

const ENTRIES = Object.entries(KINDS) as [Kind, RegExp][];

/** How many of a trace's lines are of each kind. */
export function countKinds(lines: readonly string[]): Census {
  const counts = Object.fromEntries(ENTRIES.map(([kind]) => [kind, 0])) as Record<Kind, number>;
  for (const line of lines) {
    for (const [kind, pattern] of ENTRIES) if (pattern.test(line)) counts[kind] += 1;
  }
  return counts;
}
