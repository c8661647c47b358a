import { api } from "./api.ts";
import { claim } from "./claim.ts";
import type { Counts } from "./harness/counts.ts";
import type { Result } from "./harness/result.ts";
import { image } from "./image.ts";
import type { Group } from "./promises.ts";
import { proxy } from "./proxy.ts";
import { reconcile } from "./reconcile.ts";
import { state } from "./state.ts";

export const benches: Readonly<Record<Group, (counts: Counts) => Promise<Result[]>>> = {
  claim,
  proxy,
  state,
  api,
  image,
  reconcile,
};
