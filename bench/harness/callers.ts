import type { Client } from "./client.ts";

/** Times of some requests, and of `GET /health` sent in turn with them over the same connections. */
export interface BesideHealth {
  readonly ms: Readonly<Record<string, number[]>>;
  readonly health: number[];
}

export type Ask = (caller: number, round: number) => Promise<{ readonly ms: number }>;

/**
 * `callers` at once, each asking all of these one after the other, round by round, and the no-op route before each: what
 * is above it is ours. The first tenth of the rounds is for warming up.
 */
export async function besideHealth(
  client: Client,
  asks: Readonly<Record<string, Ask>>,
  { callers, rounds }: { readonly callers: number; readonly rounds: number },
): Promise<BesideHealth> {
  const found = {
    ms: Object.fromEntries(Object.keys(asks).map((name) => [name, [] as number[]])),
    health: [] as number[],
  };
  const warming = Math.ceil(rounds / 10);
  const one = async (caller: number) => {
    for (let round = 0; round < rounds + warming; round += 1) {
      for (const [name, ask] of Object.entries(asks)) {
        const health = (await client.must("GET", "/health")).ms;
        const { ms } = await ask(caller, round);
        if (round < warming) continue;
        found.health.push(health);
        found.ms[name]?.push(ms);
      }
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => one(caller)));
  return found;
}
