import type { ContainerRuntime } from "../runtime/port.ts";
import { AgentClient } from "./agent.ts";
import { ControlClient } from "./control.ts";
import type { BootRecord } from "./record.ts";

/** The inside of one boot of a container: its runtime, and the two ports of ours in it. */
export class Inside {
  readonly runtime: ContainerRuntime;
  readonly boot: BootRecord;
  readonly control: ControlClient;
  readonly agent: AgentClient;

  constructor(runtime: ContainerRuntime, boot: BootRecord) {
    this.runtime = runtime;
    this.boot = boot;
    this.control = new ControlClient(runtime, boot);
    this.agent = new AgentClient(runtime, boot);
  }
}
