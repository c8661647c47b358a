import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const ROOTFS = "containers/base/rootfs";
const scripts = readdirSync(ROOTFS, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map(({ parentPath, name }) => `${parentPath}/${name}`)
  .filter((path) => path.endsWith(".sh") || readFileSync(path, "latin1").startsWith("#!/bin/busybox sh"));

test("there are scripts to look at", () => {
  expect(scripts.length).toBeGreaterThan(15);
});

// A script that no shell can read answers nothing at all, which only a real container would show.
test.each(scripts)("%s is one that a shell can read", (path) => {
  const { status, stderr } = spawnSync("sh", ["-n", path], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});
