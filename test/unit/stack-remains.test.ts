import { expect, test } from "vitest";
import { remainsOf } from "../../scripts/stack/remains.ts";

test("what is left with the engine is what has ended, and sidecars without a container that lives", () => {
  const states = {
    a: "running",
    "a-proxy": "running",
    b: "exited",
    "b-proxy": "running",
    "c-proxy": "running",
    d: "restarting",
    "d-proxy": "running",
    e: "paused",
    "e-proxy": "exited",
    f: "dead",
    g: "created",
  };
  const containers = Object.entries(states).map(([name, state]) => ({ name, state }));
  expect(remainsOf(containers)).toEqual(["b", "b-proxy", "c-proxy", "f"]);
});
