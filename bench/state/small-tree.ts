import type { Counts } from "../harness/counts.ts";
import { observed, promised, type Result } from "../harness/result.ts";
import { ONE_FILE, SMALL_TREE } from "../harness/trees.ts";
import { type Beside, besidePlain } from "./beside-plain.ts";
import { ms, note, restoreMs, restoreNote } from "./figures.ts";
import { plain } from "./plain-rclone.ts";

/** Saves and restores of the small tree, beside plain rclone to an S3 server in the same run. */
export async function smallTree(beside: Beside, counts: Counts): Promise<Result[]> {
  const steps = ["fresh", "unchanged", "changed", "fetched"] as const;
  const { lives, rounds } = await besidePlain(beside, SMALL_TREE, steps, {
    lives: counts.releases,
    rounds: counts.compared,
  });
  const requests = lives.map(({ unchanged }) => unchanged.requests);
  const save = (kind: "fresh" | "changed" | "unchanged") => ({
    compared: plain(rounds, kind),
    note: note(lives, kind),
  });
  return [
    promised("state.new", ms(lives, "fresh"), save("fresh")),
    promised("state.changed", ms(lives, "changed"), save("changed")),
    promised("state.unchanged", ms(lives, "unchanged"), save("unchanged")),
    promised("state.requests", requests, { value: Math.max(...requests) }),
    promised("state.restore", restoreMs(lives), { compared: plain(rounds, "fetched"), note: restoreNote(lives) }),
    promised(
      "state.ten",
      lives.flatMap(({ fresh, restores }) => restores.map((restore) => fresh.ms + restore.ms)),
    ),
  ];
}

/** The same for one file of as many bytes. */
export async function oneFile(beside: Beside, counts: Counts): Promise<Result[]> {
  const { lives, rounds } = await besidePlain(beside, ONE_FILE, ["fresh", "fetched"], {
    lives: counts.compared,
    rounds: counts.compared,
  });
  return [
    observed("state", "release, one file of 10 MB, new", "ms", ms(lives, "fresh"), {
      compared: plain(rounds, "fresh"),
      note: note(lives, "fresh"),
    }),
    observed("state", "restore of it", "ms", restoreMs(lives), { compared: plain(rounds, "fetched") }),
  ];
}
