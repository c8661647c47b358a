import { readdirSync, readFileSync, statSync } from "node:fs";
import { expect, test } from "vitest";
import { must } from "../../scripts/command.ts";
import { ROOT } from "../../scripts/paths.ts";

const sources = readdirSync(`${ROOT}/containers`, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => `${entry.parentPath}/${entry.name}`);

test("every file that goes into an image has LF line endings", () => {
  expect(sources.length).toBeGreaterThan(10);
  expect(sources.filter((path) => readFileSync(path, "utf8").includes("\r"))).toEqual([]);
});

test("every script with an interpreter line can be executed", () => {
  const scripts = sources.filter((path) => readFileSync(path, "utf8").startsWith("#!"));
  expect(scripts.filter((path) => (statSync(path).mode & 0o111) === 0)).toEqual([]);
});

test("every script is understood by the shell of the image", async () => {
  const check =
    "cd /usr/local/lib/boilerhouse; for file in $(find . -type f) /usr/local/bin/boilerhouse-init; do busybox sh -n $file; done";
  const run = ["run", "--rm", "--entrypoint", "sh", "boilerhouse-base", "-c", `{ ${check}; } 2>&1`];
  expect(await must("docker", run)).toBe("");
});

test("every image begins with the same base", () => {
  const part = (image: string) => {
    const text = readFileSync(`${ROOT}/containers/${image}/Dockerfile`, "utf8");
    return text.slice(text.indexOf("# --- base"), text.indexOf("# --- end of base"));
  };
  expect(part("base")).toContain("FROM debian:trixie-slim");
  expect(part("sandbox")).toBe(part("base"));
});

test("the base image has at most 200 MB", async () => {
  const bytes = Number(await must("docker", ["image", "inspect", "-f", "{{.Size}}", "boilerhouse-base"]));
  console.log(`boilerhouse-base: ${(bytes / 1e6).toFixed(0)} MB`);
  expect(bytes).toBeLessThanOrEqual(200e6);
});

test("rclone is new enough", async () => {
  const text = await must("docker", ["run", "--rm", "--entrypoint", "rclone", "boilerhouse-base", "version"]);
  const [, major, minor] = /rclone v(\d+)\.(\d+)/.exec(text) ?? [];
  expect(Number(major) * 1000 + Number(minor)).toBeGreaterThanOrEqual(1075);
});
