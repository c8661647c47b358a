import { expect, test } from "vitest";
import { command, must } from "../../scripts/command.ts";
import { filterRules, literalGlob, ruleFilter } from "../../src/sync/glob.ts";
import { GLOB_TREE, GLOBS } from "../support/globs.ts";
import { TEST_LABEL } from "./support/container.ts";

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** What rclone lists of the tree, for each set of rules. */
async function listed(sets: readonly (readonly string[])[]): Promise<string[][]> {
  const make = GLOB_TREE.map((path) => `mkdir -p "$(dirname ${quoted(path)})"; : > ${quoted(path)}`);
  const runs = sets.map((rules) => {
    const filters = rules.map((rule) => `--filter ${quoted(rule)}`).join(" ");
    return `rclone lsf -R --files-only --config '' ${filters} /tree || echo failed; echo =`;
  });
  const script = ["mkdir /tree", "cd /tree", ...make, ...runs].join("\n");
  const id = (
    await must("docker", ["create", "--label", TEST_LABEL, "-i", "--entrypoint", "sh", "boilerhouse-base"])
  ).trim();
  try {
    const out = await must("docker", ["start", "-a", "-i", id], { input: script });
    return out
      .split("=\n")
      .slice(0, -1)
      .map((part) => part.split("\n").filter(Boolean).sort());
  } finally {
    await command("docker", ["rm", "-f", id]);
  }
}

test("rclone itself leaves out and takes the same files", async () => {
  const globs = GLOBS.map(([glob]) => glob);
  const sets = [
    ...globs.map((glob) => filterRules({ exclude: [glob] })),
    ...globs.map((glob) => filterRules({ include: [glob] })),
    ...GLOB_TREE.map((path) => filterRules({ include: [literalGlob(path)] })),
    filterRules({ include: ["*.txt", "/src/**"], exclude: ["src/lib/", "/a*"] }),
  ];
  const ours = sets.map((rules) => {
    const filter = ruleFilter(rules);
    return GLOB_TREE.filter((path) => filter.file(path)).sort();
  });
  expect(await listed(sets)).toEqual(ours);
}, 120_000);
