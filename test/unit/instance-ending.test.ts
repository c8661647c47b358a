import { describe, expect, test } from "vitest";
import { endFor, endOfExit, endOfWorkload, isOom, supersedes } from "../../src/instance/ending.ts";
import { nextRing } from "../../src/instance/upkeep.ts";

describe("a container that ended", () => {
  test.each([
    [137, false, "oom"],
    [137, true, "exited"],
    [0, false, "exited"],
    [1, false, "exited"],
    [143, false, "exited"],
    [null, false, "lost"],
  ] as const)("with %s, asked for: %s, counts as %s", (exitCode, told, cause) => {
    expect(endOfExit({ exitCode, reason: "why" }, told, 7)).toEqual({ at: 7, cause, exitCode, detail: "why" });
  });

  test("is known better by how it ended than by that it is gone, and by that than by its silence", () => {
    const [hung, lost, rebooted] = (["hung", "lost", "rebooted"] as const).map((cause) => endFor(cause, "", 1));
    const exited = endOfExit({ exitCode: 1, reason: "" }, false, 1);
    const order = [hung, lost, rebooted, exited] as const;
    order.forEach((later, i) => {
      order.forEach((known, j) => {
        expect(later && known && supersedes(later, known), `${later?.cause} after ${known?.cause}`).toBe(i > j);
      });
    });
  });
});

describe("a workload that ended", () => {
  const exit = { exitCode: 137, restarts: 4, restarting: false, oom: null };

  test("was out of memory where the kernel says so, and else where it was killed", () => {
    expect(isOom({ ...exit, oom: true, exitCode: 1 })).toBe(true);
    expect(isOom({ ...exit, oom: false })).toBe(false);
    expect(isOom(exit)).toBe(true);
    expect(isOom({ ...exit, exitCode: 1 })).toBe(false);
  });

  test("too often ends its container, with its code", () => {
    expect(endOfWorkload({ ...exit, exitCode: 3 }, 5)).toMatchObject({ at: 5, cause: "exited", exitCode: 3 });
    expect(endOfWorkload(exit, 5)).toMatchObject({ cause: "oom", exitCode: 137 });
  });
});

test("an Instance's alarm is in the future, about a minute ahead at most", () => {
  expect(nextRing(1_000, null, 0)).toBe(56_000);
  expect(nextRing(1_000, null, 1)).toBe(67_000);
  expect(nextRing(1_000, 31_000, 0.5)).toBe(31_000);
  expect(nextRing(1_000, 0, 0.5)).toBe(1_200);
});
