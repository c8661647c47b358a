import { step } from "../scripts/steps.ts";
import type { Counts } from "./harness/counts.ts";
import { LatencyProxy } from "./harness/latency-proxy.ts";
import type { Result } from "./harness/result.ts";
import { bare, instrumented } from "./harness/stacks.ts";
import { Api } from "./harness/tenants.ts";
import { STATE } from "./harness/trees.ts";
import { POOL_SIZE } from "./state/beside-plain.ts";
import { FAR_MS, farTree, largeTree } from "./state/large-tree.ts";
import { objects } from "./state/objects.ts";
import { PlainRclone } from "./state/plain-rclone.ts";
import { oneFile, smallTree } from "./state/small-tree.ts";

const POOL = "state";

/** Saves and restores, many small files and few large ones, beside plain rclone to an S3 server in the same run. */
export async function state(counts: Counts): Promise<Result[]> {
  const stack = await instrumented();
  const api = new Api(stack);
  const s3 = (await bare()).port;
  const proxy = await LatencyProxy.start(s3, FAR_MS);
  const [near, far] = await Promise.all([PlainRclone.start(s3), PlainRclone.start(proxy.port)]);
  try {
    await api.workload({ id: POOL, volumes: { state: { containerPath: STATE } } });
    await api.pool(POOL, POOL, POOL_SIZE);
    const beside = { api, poolId: POOL, rclone: near };
    return [
      ...(await step("the small tree: 1,000 files of 10 kB", () => smallTree(beside, counts))),
      ...(await step("one file of 10 MB", () => oneFile(beside, counts))),
      ...(await step("2,000 files, 21 MB", () => largeTree(beside, counts))),
      ...(await step("the same, 30 ms a request", () => farTree({ ...beside, rclone: far }, counts))),
      ...(await step("objects of 1 GiB, files of 30 MB", () => objects(stack, api, POOL, counts))),
    ];
  } finally {
    await Promise.all([near.stop(), far.stop()]);
    await proxy.stop();
    api.client.close();
  }
}
