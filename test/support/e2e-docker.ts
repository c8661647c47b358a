import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { command, type Outcome } from "../../scripts/command.ts";
import type { Client } from "./e2e-client.ts";

/** A tenant's container from the engine's side, where no part of the system is in between. */
export class Container {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }

  /** Runs a shell script inside, with the environment that the engine gives to whatever is executed there. Never throws. */
  run(user: "root" | "workload", script: string, input = ""): Promise<Outcome> {
    const argv = ["exec", "-i", "-u", user, this.name, "sh", "-c", script];
    return command("docker", argv, { input, timeoutMs: 60_000 });
  }

  /** Its standard output; a script that fails fails the test. */
  async output(user: "root" | "workload", script: string, input = ""): Promise<string> {
    const { code, stdout, stderr } = await this.run(user, script, input);
    expect(code, `in ${this.name}: ${script}\n${stderr}`).toBe(0);
    return stdout;
  }

  /** Ends it as a crash of its host would. */
  async kill(): Promise<void> {
    const { code, stderr } = await command("docker", ["kill", this.name]);
    expect(code, stderr).toBe(0);
  }

  /** Nothing in it runs any more until it thaws; what asks it waits. */
  async freeze(): Promise<void> {
    const { code, stderr } = await command("docker", ["pause", this.name]);
    expect(code, stderr).toBe(0);
  }

  /** Nothing where it is gone, or not frozen. */
  async thaw(): Promise<void> {
    await command("docker", ["unpause", this.name]);
  }

  /** Kills the workload alone, as the kernel would. */
  async killWorkload(): Promise<void> {
    await this.output("root", "kill -KILL $(pidof node)");
  }

  /** Makes PID 1 end by itself with an error, which the engine answers by starting the same container again. */
  async failPid1(): Promise<void> {
    await this.run("root", "kill -KILL $(cat /proc/1/task/1/children)");
  }

  async inspect(): Promise<Inspected | null> {
    const { code, stdout } = await command("docker", ["inspect", this.name]);
    return code === 0 ? (JSON.parse(stdout)[0] as Inspected) : null;
  }

  async isRunning(): Promise<boolean> {
    return (await this.inspect())?.State.Running === true;
  }

  /** The keys of this boot (docs/container.md), from where init keeps them. */
  async keys(): Promise<{ bootKey: string; accessKeyId: string }> {
    const [, bootKey = "", accessKeyId = ""] = (await this.output("root", "cat /run/boilerhouse/private/keys")).split(
      "\n",
    );
    expect([bootKey.length >= 16, accessKeyId.length >= 16], "keys of a boot").toEqual([true, true]);
    return { bootKey, accessKeyId };
  }
}

interface Inspected {
  State: { Running: boolean; Status: string };
  RestartCount: number;
}

/** The container of a claim's `containerId`. */
export async function containerOf(client: Client, containerId: string): Promise<Container> {
  const answer = await client.api("GET", `/containers/${containerId}`);
  expect(answer.status, answer.text).toBe(200);
  const names = await containersNamed(answer.body.durableObjectId);
  expect(names, `containers of ${answer.body.durableObjectId}`).toHaveLength(1);
  return new Container(names[0] ?? "");
}

/** Names of containers, running or not, that contain a text; the networking sidecars beside them are left out. */
export async function containersNamed(text: string): Promise<string[]> {
  return (await everyContainerNamed(text)).filter((name) => !name.endsWith("-proxy"));
}

/** The same with the sidecars. */
export async function everyContainerNamed(text: string): Promise<string[]> {
  const { stdout } = await command("docker", ["ps", "-a", "--filter", `name=${text}`, "--format", "{{.Names}}"]);
  return stdout.split("\n").filter((name) => name !== "");
}

/** A value that occurs nowhere else, so that finding it means something. */
export const unique = (what: string): string => `${what}-${randomUUID()}`;
