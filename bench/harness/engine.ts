import { spawn } from "node:child_process";
import { must } from "../../scripts/command.ts";
import type { Api } from "./tenants.ts";

/** The engine's id of a container, found by the object that carries it. The networking sidecar's name has a suffix. */
export async function containerOf(api: Api, containerId: string): Promise<string> {
  const object = await api.objectOf(containerId);
  const listed = await must("docker", ["ps", "--filter", `name=${object}`, "--format", "{{.ID}} {{.Names}}"]);
  const found = listed.split("\n").find((line) => line.endsWith(object));
  if (!found) throw new Error(`no container of object ${object}`);
  return found.split(" ")[0] ?? "";
}

/** Runs a script of Node's inside a container, which any of the sandbox's has. Returns what it printed. */
export function runInside(container: string, user: "workload" | "root", script: string): Promise<string> {
  return must("docker", ["exec", "-i", "-u", user, container, "node", "-"], { input: script });
}

/** A script that goes on printing until its container ends or `stop` is called; `lines` is what it printed so far. */
export class Watcher {
  readonly lines: string[] = [];
  readonly ended: Promise<void>;
  readonly #child;

  constructor(container: string, script: string) {
    this.#child = spawn("docker", ["exec", "-i", "-u", "root", container, "node", "-"], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    this.#child.stdin.on("error", () => {}); // the container may be gone
    this.#child.stdin.end(script);
    let rest = "";
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const pieces = (rest + text).split("\n");
      rest = pieces.pop() ?? "";
      this.lines.push(...pieces);
    });
    this.ended = new Promise((resolve) => this.#child.once("close", () => resolve()));
  }

  /** Resolves when it printed something, which it does once it runs. */
  async running(): Promise<void> {
    while (this.lines.length === 0 && this.#child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 5));
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.ended;
  }
}
