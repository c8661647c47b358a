import type { Counts } from "../harness/counts.ts";
import { observed, promised, type Result } from "../harness/result.ts";
import type { Api } from "../harness/tenants.ts";
import { LARGE_TREE } from "../harness/trees.ts";
import { type Beside, besidePlain, type Found } from "./beside-plain.ts";
import { ms, note, restoreMs, restoreNote } from "./figures.ts";
import { plain } from "./plain-rclone.ts";

/** What each request to storage takes longer in the far case. */
export const FAR_MS = 30;

const STEPS = ["fresh", "fetched"] as const;
type Rounds = Found<(typeof STEPS)[number]>;

/** 2,000 files on a storage that is near. */
export async function largeTree(beside: Beside, counts: Counts): Promise<Result[]> {
  const { lives, rounds } = await besidePlain(beside, LARGE_TREE, STEPS, {
    lives: counts.large,
    rounds: counts.comparedLarge,
  });
  const unchanged = lives.map((life) => life.unchanged.requests);
  const changed = lives.map((life) => life.changed.requests);
  return [
    promised("large.restore", restoreMs(lives), { compared: plain(rounds, "fetched"), note: restoreNote(lives) }),
    observed("state", "release of them, all new", "ms", ms(lives, "fresh"), {
      compared: plain(rounds, "fresh"),
      note: note(lives, "fresh"),
    }),
    promised("large.unchanged", ms(lives, "unchanged"), { note: note(lives, "unchanged") }),
    promised("large.unchanged.requests", unchanged, { value: Math.max(...unchanged) }),
    observed("state", "release of them, 5 changed", "ms", ms(lives, "changed"), { note: note(lives, "changed") }),
    promised("large.changed.requests", changed, { value: Math.max(...changed) }),
  ];
}

/**
 * The same where every request that leaves the container for storage takes 30 ms longer: ours in the gateway of the
 * instrumented Worker, plain rclone's in a proxy before its S3 server.
 */
export async function farTree(beside: Beside, counts: Counts): Promise<Result[]> {
  await delayStorage(beside.api, FAR_MS);
  try {
    const found = await besidePlain(beside, LARGE_TREE, STEPS, { lives: counts.large, rounds: counts.comparedLarge });
    return far(found);
  } finally {
    await delayStorage(beside.api, 0);
  }
}

function far({ lives, rounds }: Rounds): Result[] {
  const saves = ms(lives, "fresh");
  const restores = restoreMs(lives);
  const sent = plain(rounds, "fresh");
  const fetched = plain(rounds, "fetched");
  const ratio = (samples: readonly number[], to: { value: number }) => samples.map((sample) => sample / to.value);
  return [
    promised("far.new", ratio(saves, sent), { note: "30 ms more before each storage request, on both sides" }),
    observed("state", "release of them, all new, 30 ms a request", "ms", saves, {
      compared: sent,
      note: note(lives, "fresh"),
    }),
    promised("far.restore", ratio(restores, fetched)),
    observed("state", "restore of them, 30 ms a request", "ms", restores, {
      compared: fetched,
      note: restoreNote(lives),
    }),
    observed("state", "release of them, 5 changed, 30 ms a request", "ms", ms(lives, "changed"), {
      note: note(lives, "changed"),
    }),
  ];
}

async function delayStorage(api: Api, delayMs: number): Promise<void> {
  await api.client.must("POST", "/bench/storage-delay", { ms: delayMs });
}
