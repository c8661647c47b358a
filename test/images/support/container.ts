import { randomUUID } from "node:crypto";
import { command, must, type Outcome } from "../../../scripts/command.ts";
import { type ClaimParcel, claimTar } from "../../../src/instance/claim-tar.ts";
import { type Listing, parseListing } from "../../../src/instance/manifest.ts";

export const TEST_LABEL = "boilerhouse.test=images";
export const CONTROL = 41800;
export const AGENT = 41801;
const WORKLOAD = 8080;

export interface ContainerOptions {
  readonly image?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
  /** `later`: it is not sent its keys yet. */
  readonly keys?: "now" | "later";
  /** The address that `sink.internal` stands for. */
  readonly sink?: string;
  /** Small file systems, as `PATH:size=…`. */
  readonly tmpfs?: readonly string[];
}

export interface ControlAnswer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: answers of many forms; each test looks at what it asked for.
  readonly body: any;
  readonly ms: number;
}

/** A container as an Instance would start it, driven from outside over published ports. */
export class TestContainer {
  readonly id: string;
  readonly bootId: string;
  readonly bootKey: string;
  readonly accessKey: string;
  readonly #ports: Readonly<Record<number, string>>;

  private constructor(
    id: string,
    keys: { bootId: string; bootKey: string; accessKey: string },
    ports: Record<number, string>,
  ) {
    this.id = id;
    this.bootId = keys.bootId;
    this.bootKey = keys.bootKey;
    this.accessKey = keys.accessKey;
    this.#ports = ports;
  }

  /** Started, and its control port answers. */
  static async start(options: ContainerOptions = {}): Promise<TestContainer> {
    const keys = { bootId: randomUUID(), bootKey: randomUUID(), accessKey: randomUUID() };
    const id = await must("docker", [
      ...["run", "-d", "--label", TEST_LABEL],
      ...[CONTROL, AGENT, WORKLOAD].flatMap((port) => ["-p", `127.0.0.1::${port}`]),
      ...(options.tmpfs ?? []).flatMap((mount) => ["--tmpfs", mount]),
      ...(options.sink === undefined ? [] : ["--add-host", `sink.internal:${options.sink}`]),
      ...Object.entries(options.env ?? {}).flatMap(([name, value]) => ["-e", `${name}=${value}`]),
      options.image ?? "boilerhouse-sandbox",
      ...(options.command ?? []),
    ]);
    const ports: Record<number, string> = {};
    for (const port of [CONTROL, AGENT, WORKLOAD]) {
      ports[port] = (await must("docker", ["port", id.trim(), `${port}/tcp`])).trim().split("\n")[0] ?? "";
    }
    const container = new TestContainer(id.trim(), keys, ports);
    await container.until(async () => {
      if (options.keys === "later") return (await container.control("GET", "status")).status === 503;
      return (await container.boot()).status === 200;
    });
    return container;
  }

  url(port: number, path = "/"): string {
    return `http://${this.#ports[port]}${path}`;
  }

  async control(method: "GET" | "POST", op: string, body?: Uint8Array<ArrayBuffer>): Promise<ControlAnswer> {
    const startedAt = performance.now();
    const response = await fetch(this.url(CONTROL, `/cgi-bin/control?op=${op}`), {
      method,
      headers: { authorization: `Bearer ${this.bootKey}` },
      body: body ?? null,
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    return { status: response.status, body: JSON.parse(text), ms: performance.now() - startedAt };
  }

  /** Sends its keys, or others. */
  boot(keys: readonly string[] = [this.bootId, this.bootKey, this.accessKey]): Promise<ControlAnswer> {
    return this.control("POST", "boot", Uint8Array.from(Buffer.from(keys.map((key) => `${key}\n`).join(""))));
  }

  claim(epoch: number, parcel: ClaimParcel, timeoutMs = 30_000): Promise<ControlAnswer> {
    return this.control("POST", `claim&epoch=${epoch}&timeoutMs=${timeoutMs}`, claimTar(parcel));
  }

  async manifest(): Promise<Listing> {
    const response = await fetch(this.url(CONTROL, "/cgi-bin/control?op=manifest"), {
      headers: { authorization: `Bearer ${this.bootKey}` },
    });
    return parseListing(new Uint8Array(await response.arrayBuffer()), response.headers);
  }

  workload(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(this.url(WORKLOAD, path), { signal: AbortSignal.timeout(10_000), ...init });
  }

  /** Until the workload answers `/healthz`. */
  async ready(): Promise<void> {
    await this.until(async () => (await this.workload("/healthz")).ok);
  }

  agent(path: string, body: unknown): Promise<Response> {
    return fetch(this.url(AGENT, `/${path}`), {
      method: "POST",
      headers: {
        authorization: `Basic ${Buffer.from(`boilerhouse:${this.bootKey}`).toString("base64")}`,
        "content-type": "application/json",
      },
      body: JSON.stringify(body),
    });
  }

  exec(script: string, user = "root"): Promise<Outcome> {
    return command("docker", ["exec", "-u", user, this.id, "sh", "-c", script]);
  }

  async logs(): Promise<string> {
    const { stdout, stderr } = await command("docker", ["logs", this.id]);
    return stdout + stderr;
  }

  /** Polls every 10 ms until it holds; a throw counts as not yet. */
  async until(holds: () => Promise<boolean>, limitMs = 15_000): Promise<void> {
    const deadline = performance.now() + limitMs;
    let last = "";
    while (performance.now() < deadline) {
      try {
        if (await holds()) return;
        last = "it does not hold";
      } catch (problem) {
        last = problem instanceof Error ? `${problem.message} ${problem.cause ?? ""}` : String(problem);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`not within ${limitMs} ms (${last}); the container's log:\n${await this.logs()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await command("docker", ["rm", "-f", this.id]);
  }
}
