import { agent } from "./runtime-contract/agent.ts";
import { control } from "./runtime-contract/control.ts";
import { directories } from "./runtime-contract/directories.ts";
import { ends } from "./runtime-contract/ends.ts";
import { files } from "./runtime-contract/files.ts";
import type { Contract } from "./runtime-contract/harness.ts";
import { lifecycle } from "./runtime-contract/lifecycle.ts";
import { traffic } from "./runtime-contract/traffic.ts";

/**
 * What every adapter of `ContainerRuntime` keeps, with the protocol inside a container (docs/container.md). Promise → check;
 * `test/workers/runtime-simulated.test.ts` runs it in memory, `test/e2e/runtime-platform.test.ts` on real containers.
 */
export const runtimeContract: Contract = {
  ...lifecycle,
  ...traffic,
  ...control,
  ...files,
  ...agent,
  ...directories,
  ...ends,
};
