import { existsSync, readdirSync } from "node:fs";
import { clearRemains, readRecord } from "../../scripts/stack/record.ts";
import { STACKS } from "./e2e-paths.ts";

/** After the whole run, however it ended: no process and no container of its stacks stays. */
export async function teardown(): Promise<void> {
  if (!existsSync(STACKS)) return;
  for (const name of readdirSync(STACKS)) {
    const path = `${STACKS}/${name}/stack.json`;
    const record = readRecord(path);
    if (record) await clearRemains(path, record);
  }
}
