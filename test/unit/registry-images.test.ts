import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { IMAGES } from "../../src/runtime/images.ts";

test("the images that workloads may name are those of wrangler.jsonc", () => {
  const withoutComments = readFileSync("wrangler.jsonc", "utf8").replaceAll(/^\s*\/\/.*$/gm, "");
  const { containers } = JSON.parse(withoutComments) as { containers: { images: Record<string, unknown> }[] };
  expect(containers.flatMap(({ images }) => Object.keys(images)).sort()).toEqual([...IMAGES].sort());
});
