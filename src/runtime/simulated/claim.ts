import { messageOf } from "../classify.ts";
import type { SimulatedContainer } from "./container.ts";
import type { Owner } from "./files.ts";
import type { SimulatedInit } from "./init.ts";
import { type RestoreOrder, unpackBundle } from "./restore.ts";
import { readTar } from "./tar.ts";

const CONFIG = "/run/boilerhouse/config.json";
const GATEWAY_TOKEN = "/run/boilerhouse/gateway-token";
const NOT_FETCHED = "the bundle could not be fetched: ";

interface Answer {
  status: number;
  body: Record<string, unknown>;
}

/** The one claim of a container's life (docs/container.md): the same epoch is answered the same, a failed restore included. */
export class SimulatedClaim {
  readonly #container: SimulatedContainer;
  readonly #init: SimulatedInit;
  #epoch: number | null = null;
  #answer: Answer | null = null;
  /** While there is no answer: whose I/O it waits for. Under another incarnation of the object it is begun anew. */
  #pending: { egress: unknown; answer: Promise<Answer> } | null = null;

  constructor(container: SimulatedContainer, init: SimulatedInit) {
    this.#container = container;
    this.#init = init;
  }

  /** Whether the container was claimed, well or not. */
  get begun(): boolean {
    return this.#epoch !== null;
  }

  async apply(epoch: number, tar: Uint8Array<ArrayBuffer>): Promise<Answer> {
    this.#epoch ??= epoch;
    if (this.#epoch !== epoch) {
      const detail = `this container was claimed for epoch ${this.#epoch}`;
      return { status: 409, body: { error: "already_claimed", detail } };
    }
    if (this.#answer) return this.#answer;
    const { egress } = this.#container;
    if (this.#pending?.egress !== egress) this.#pending = { egress, answer: this.#deliver(epoch, tar) };
    this.#answer = await this.#pending.answer;
    this.#pending = null;
    return this.#answer;
  }

  async #deliver(epoch: number, tar: Uint8Array<ArrayBuffer>): Promise<Answer> {
    const { files } = this.#container;
    const { supervisor, secretsDir, startMode } = this.#init;
    const { user } = supervisor;
    const begun = this.#container.now();
    let order: RestoreOrder | null = null;
    let held = false;
    let environment: Record<string, string> | null = null;
    for (const { name, body } of readTar(tar)) {
      const text = new TextDecoder().decode(body);
      if (name === "config.json") files.write(CONFIG, body, user, 0o400);
      else if (name === "gateway-token") files.write(GATEWAY_TOKEN, body, user, 0o400);
      else if (name === "env") environment = variables(text);
      else if (name === "hold") held = true;
      else if (name === "fresh") this.#makeFresh(user);
      else if (name === "restore") order = restoreOrder(text);
      else if (name.startsWith("secrets/")) files.write(`${secretsDir}/${name.slice(8)}`, body, user, 0o400);
    }
    const applied = this.#container.now();
    const problem = order && (await this.#restore(order));
    if (problem) return { status: 502, body: { error: "restore_failed", detail: problem } };
    if (environment) supervisor.addEnvironment(environment);
    if (startMode !== "on-claim") {
      if (environment) supervisor.restart();
    } else if (!held) supervisor.start();
    const timings = { applyMs: applied - begun, restoreMs: this.#container.now() - applied, verifyMs: 0 };
    return { status: 200, body: { epoch, restored: order && { files: order.files, bytes: order.bytes }, timings } };
  }

  #makeFresh(user: Owner): void {
    const { stateDir } = this.#init;
    if (stateDir) this.#container.files.change(stateDir, { mode: 0o755, ...user });
  }

  /** Null, or what went wrong; the state directory is then as it was. */
  async #restore(order: RestoreOrder): Promise<string | null> {
    const { stateDir } = this.#init;
    if (!stateDir) return "there is no state directory";
    try {
      const fault = await this.#container.pass("restore");
      if (fault?.how === "fail") return fault.detail ?? `${NOT_FETCHED}a planned fault`;
      const answer = await this.#init.sink("GET", order.path);
      if (!answer.ok) return `${NOT_FETCHED}the requested URL returned error: ${answer.status}`;
      const tar = new Uint8Array(await answer.arrayBuffer());
      const arrived = fault?.how === "truncate" ? tar.slice(0, Math.floor(tar.length / 2)) : tar;
      const tree = unpackBundle(arrived, order, () => this.#container.now());
      this.#container.files.put(stateDir, tree);
      this.#init.restored();
      return null;
    } catch (error) {
      return messageOf(error);
    }
  }
}

function variables(text: string): Record<string, string> {
  const pairs = text.split("\0").filter((pair) => pair !== "");
  return Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
}

function restoreOrder(line: string): RestoreOrder {
  const [path = "", files, bytes] = line.trim().split(" ");
  return { path, files: Number(files), bytes: Number(bytes) };
}
