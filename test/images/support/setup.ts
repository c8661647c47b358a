import { command } from "../../../scripts/command.ts";
import { containerEnvironment } from "../../../scripts/container/environment.ts";
import { TEST_LABEL } from "./container.ts";

/** Engine and images, and after the run no container of it. */
export async function setup(): Promise<() => Promise<void>> {
  await containerEnvironment();
  return async () => {
    const { stdout } = await command("docker", ["ps", "-aq", "--filter", `label=${TEST_LABEL}`]);
    const ids = stdout.split("\n").filter(Boolean);
    if (ids.length > 0) await command("docker", ["rm", "-f", ...ids]);
  };
}
