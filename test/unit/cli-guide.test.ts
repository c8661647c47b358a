import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { find } from "../../bin/cli/commands.ts";
import { stepsOf } from "../support/guide.ts";

it("a page's blocks become files, edits and commands with what they print", () => {
  const page = [
    "text",
    "```json a/b.json",
    "{}",
    "```",
    "```diff f.ts",
    "-old",
    "+new",
    " same",
    "```",
    "```sh fails",
    "cmd",
    "#=> no",
    "```",
    "",
  ].join("\n");
  expect(stepsOf(page)).toEqual([
    { kind: "file", path: "a/b.json", content: "{}\n" },
    { kind: "edit", path: "f.ts", before: "old\nsame", after: "new\nsame" },
    { kind: "run", mode: "fails", script: "cmd\n", prints: ["no"] },
  ]);
  expect(() => stepsOf("```json\n{}\n```\n")).toThrow("without a path");
});

it("every command that a page names is one that there is", () => {
  for (const page of ["workloads", "deployment", "cli", "api"]) {
    const text = readFileSync(`docs/${page}.md`, "utf8");
    const named = [...text.matchAll(/npx boilerhouse ([a-z][^\n`|]*)/g)].map(([, line = ""]) => line.split(" "));
    for (const words of named) expect(find(words), `${page}: boilerhouse ${words.join(" ")}`).not.toBeNull();
  }
});

it("the guide's edits fit the files as they are", () => {
  for (const step of stepsOf(readFileSync("docs/workloads.md", "utf8"))) {
    if (step.kind === "edit") expect(readFileSync(step.path, "utf8")).toContain(step.before);
  }
});

it("the guide's image begins as every image does", () => {
  const base = /# --- base\n.*?# --- end of base\n/s;
  const own = stepsOf(readFileSync("docs/workloads.md", "utf8")).find(
    (step) => step.kind === "file" && step.path.endsWith("Dockerfile"),
  );
  const shared = base.exec(readFileSync("containers/base/Dockerfile", "utf8"))?.[0];
  expect(own?.kind === "file" && own.content).toContain(shared);
});
