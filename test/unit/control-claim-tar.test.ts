import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { claimTar } from "../../src/instance/claim-tar.ts";
import { readTar } from "../../src/runtime/simulated/tar.ts";

const contentsOf = (tar: Uint8Array<ArrayBuffer>) =>
  Object.fromEntries(readTar(tar).map(({ name, body }) => [name, new TextDecoder().decode(body)]));

it("carries each part of a claim under its own name", () => {
  const tar = claimTar({
    config: { a: [1, "ü"] },
    environment: { A: "1", B: "two\nlines" },
    secrets: { TOKEN: "s3cret" },
    gatewayToken: "t0ken",
    state: { restore: { path: ".bundle/7.tar", files: 3, bytes: 12 } },
  });
  expect(contentsOf(tar)).toEqual({
    "config.json": '{"a":[1,"ü"]}',
    env: "A=1\0B=two\nlines\0",
    "secrets/TOKEN": "s3cret",
    "gateway-token": "t0ken",
    restore: ".bundle/7.tar 3 12\n",
  });
  const listed = execFileSync("tar", ["-tf", "-"], { input: tar, encoding: "utf8" });
  expect(listed.trim().split("\n")).toEqual(["config.json", "env", "secrets/TOKEN", "gateway-token", "restore"]);
});

it("leaves out what a claim does not touch", () => {
  expect(contentsOf(claimTar({}))).toEqual({});
  expect(contentsOf(claimTar({ environment: {}, state: "fresh" }))).toEqual({ fresh: "" });
  expect(contentsOf(claimTar({ config: null }))).toEqual({ "config.json": "null" });
});

it("refuses names that could reach beyond their place", () => {
  expect(() => claimTar({ secrets: { "../config.json": "x" } })).toThrow(TypeError);
  expect(() => claimTar({ secrets: { ".hidden": "x" } })).toThrow(TypeError);
  expect(() => claimTar({ environment: { "A=B": "x" } })).toThrow(TypeError);
  expect(() => claimTar({ environment: { A: "x\0B=y" } })).toThrow(TypeError);
  expect(() => claimTar({ state: { restore: { path: "a b", files: 0, bytes: 0 } } })).toThrow(TypeError);
});
