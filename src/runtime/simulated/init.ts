import type { BootKeys } from "../../instance/control.ts";
import type { WorkloadExit } from "../../instance/ending.ts";
import { listingResponse } from "../../instance/manifest.ts";
import { decodeName } from "../../vault/names.ts";
import { messageOf } from "../classify.ts";
import { RuntimeError } from "../port.ts";
import { SimulatedClaim } from "./claim.ts";
import type { SimulatedContainer } from "./container.ts";
import { ownDirectory, place } from "./directories.ts";
import { fileOperation, fileQuery } from "./file-ops.ts";
import { FileError, type Owner, ROOT } from "./files.ts";
import type { Sandbox } from "./sandbox.ts";
import { bundleOf, manifestOf } from "./state.ts";
import { Supervisor } from "./supervisor.ts";

const INCOMING = "/run/boilerhouse/private/incoming";
const REPORTS = 60;
const REPORT_AGAIN_MS = 2_000;
const NO_KEYS: BootKeys = { bootId: "", bootKey: "", accessKeyId: "" };

/** PID 1's children: the supervisor and the control script, op by op as docs/container.md has them. */
export class SimulatedInit {
  readonly stateDir: string;
  readonly startMode: string;
  readonly secretsDir: string;
  readonly supervisor: Supervisor;
  readonly #container: SimulatedContainer;
  readonly #claim: SimulatedClaim;
  #keys: BootKeys = NO_KEYS;
  #baselineNs: string | null = null;

  constructor(container: SimulatedContainer, env: Readonly<Record<string, string>>) {
    this.#container = container;
    this.startMode = env.BOILERHOUSE_START ?? "on-boot";
    this.stateDir = env.BOILERHOUSE_STATE_DIR ?? "";
    this.secretsDir = env.BOILERHOUSE_SECRETS_DIR ?? "/run/secrets";
    const user = userOf(env.BOILERHOUSE_USER ?? "workload");
    const own = Object.entries(env).filter(([name]) => !name.startsWith("BOILERHOUSE_"));
    this.supervisor = new Supervisor(container, user, Object.fromEntries(own), this.secretsDir);
    this.#claim = new SimulatedClaim(container, this);
    const { files } = container;
    files.makeDirectory("/tmp", ROOT, 0o1777);
    files.makeDirectory("/run/boilerhouse", ROOT, 0o711);
    files.makeDirectory(this.secretsDir, user, 0o500);
    files.write("/run/boilerhouse/boot", "");
    if (this.stateDir) files.makeDirectory(this.stateDir, ROOT, 0o700);
  }

  /** Of this boot; empty until they came. */
  get keys(): BootKeys {
    return this.#keys;
  }

  get booted(): boolean {
    return this.#keys !== NO_KEYS;
  }

  workload(): Sandbox | null {
    return this.supervisor.workload();
  }

  async control(request: Request): Promise<Response> {
    const query = new URL(request.url).searchParams;
    if (`${request.method} ${query.get("op")}` === "POST boot") {
      return await this.#op("status", async () => this.#boot(await request.text()));
    }
    if (this.#keys === NO_KEYS) return this.#error(503, "not_booted", "the keys of this boot have not come yet");
    if (request.headers.get("authorization") !== `Bearer ${this.#keys.bootKey}`) {
      return this.#error(401, "unauthorized", "the boot key is missing or wrong");
    }
    switch (`${request.method} ${query.get("op")}`) {
      case "GET status":
        return await this.#op("status", async () => this.#status());
      case "POST claim":
        return await this.#op("claim", async () => this.#applyClaim(query.get("epoch"), await request.arrayBuffer()));
      case "POST stop":
        return await this.#op("stop", async () => this.#stop(Number(query.get("graceMs") ?? 5000)));
      case "POST start":
        return await this.#op("status", async () => this.#start());
      case "GET manifest":
        return await this.#op("manifest", async () => this.#manifest());
      case "POST bundle":
        return await this.#op("bundle", async () =>
          this.#bundle(new Uint8Array(await request.arrayBuffer()), query.get("times") === "exact"),
        );
      case "POST baseline":
        return await this.#op("status", async () => this.#setBaseline(query.get("at") ?? ""));
      case "GET file-stat":
      case "GET file-read":
      case "GET file-list":
      case "POST file-write":
      case "POST file-delete":
      case "POST file-commit":
        return await this.#op("file", async () => this.#file(request));
      case "POST agent":
        return await this.#op("status", async () => this.#startAgent());
      case "POST directory":
        return await this.#op("status", async () => this.#directory(query.get("path") ?? ""));
      case "POST place":
        return await this.#op("status", async () => this.#place(query, new Uint8Array(await request.arrayBuffer())));
      default:
        return this.#error(404, "unknown_op", "no such operation");
    }
  }

  async #op(
    at: "status" | "claim" | "stop" | "manifest" | "bundle" | "file",
    perform: () => Promise<Response>,
  ): Promise<Response> {
    const fault = await this.#container.pass(at);
    if (fault?.how === "fail") return this.#error(500, fault.code ?? "failed", fault.detail ?? "a planned fault");
    const response = await perform();
    if (fault?.how === "lose") throw new RuntimeError("lost", "Network connection lost.");
    return response;
  }

  #boot(body: string): Response {
    const [bootId = "", bootKey = "", accessKeyId = "", ...rest] = body.split("\n");
    if (!bootId || !bootKey || !accessKeyId || rest.join("") !== "") {
      return this.#error(400, "bad_request", "three lines: boot id, boot key, access key");
    }
    if (this.#keys === NO_KEYS) {
      this.#keys = { bootId, bootKey, accessKeyId };
      if (this.startMode === "on-boot") this.supervisor.start();
    }
    const known = this.#keys;
    if (known.bootId !== bootId || known.bootKey !== bootKey || known.accessKeyId !== accessKeyId) {
      return this.#error(409, "already_booted", "this container has the keys of another boot");
    }
    return this.#status();
  }

  #status(): Response {
    this.supervisor.look();
    const { state, restarts, lastExitCode } = this.supervisor;
    return this.#json({ workload: state, restarts, lastExitCode });
  }

  #start(): Response {
    this.supervisor.start();
    return this.#json({ workload: this.supervisor.state });
  }

  async #stop(graceMs: number): Promise<Response> {
    await this.supervisor.stop(graceMs, (ms) => this.#container.sleep(ms));
    return this.#json({ stopped: true, exitCode: this.supervisor.lastExitCode });
  }

  #manifest(): Response {
    if (!this.stateDir) return this.#noState();
    const entries = [...manifestOf(this.#container.files, this.stateDir)];
    return listingResponse({ entries, listedAtNs: String(this.#container.files.tick()), baselineNs: this.#baselineNs });
  }

  #setBaseline(at: string): Response {
    if (!/^\d{1,19}$/.test(at)) return this.#error(400, "bad_request", "at must be a time in nanoseconds");
    this.#baselineNs = at;
    return this.#json({ baseline: at });
  }

  /** After SIGTERM: resolves when whoever carries the container says that nothing is left to be done, or does not exist. */
  async drained(): Promise<void> {
    const headers = { authorization: `Bearer ${this.#keys.bootKey}` };
    const isClaimed = this.stateDir !== "" && this.#claim.begun;
    while (isClaimed && this.#container.running) {
      const request = new Request("http://control.internal/drain", { method: "POST", headers });
      const answer = await this.#container.egress.outbound(request).catch(() => null);
      if (answer === null || [200, 401, 404].includes(answer.status)) return;
      await this.#container.sleep(1_000);
    }
  }

  /** Of a workload that ended by itself: once where it is started again, else until somebody heard it. */
  async report(exit: WorkloadExit): Promise<void> {
    const headers = { authorization: `Bearer ${this.#keys.bootKey}`, "content-type": "application/json" };
    const body = JSON.stringify(exit);
    for (let attempts = exit.restarting ? 1 : REPORTS; attempts > 0 && this.#container.running; attempts -= 1) {
      const init = { method: "POST", headers: { ...headers, "content-length": String(body.length) }, body };
      const request = new Request("http://control.internal/exit", init);
      const answer = await this.#container.egress.outbound(request).catch(() => null);
      if (answer !== null && [200, 401, 404, 422].includes(answer.status)) return;
      await this.#container.sleep(REPORT_AGAIN_MS);
    }
  }

  /** The state directory is what the vault has. */
  restored(): void {
    const { files } = this.#container;
    let latest = 0n;
    for (const { node } of files.walk(this.stateDir)) if (node.ctimeNs > latest) latest = node.ctimeNs;
    this.#baselineNs = String(files.tick(latest));
  }

  async #bundle(names: Uint8Array, exact: boolean): Promise<Response> {
    if (!this.stateDir) return this.#noState();
    const wanted = names.length === 0 ? null : decodeName(names).split("\0").slice(0, -1);
    const { tar, missing } = bundleOf(this.#container.files, this.stateDir, wanted, exact);
    if (missing) return this.#error(502, "bundle_failed", `tar ended with 2: ${missing}: Cannot stat`);
    try {
      const answer = await this.sink("PUT", ".bundle/staging.tar", tar);
      return this.#json({ status: answer.status, body: await answer.text() });
    } catch (error) {
      return this.#error(502, "bundle_failed", messageOf(error));
    }
  }

  async #file(request: Request): Promise<Response> {
    const query = fileQuery(new URL(request.url).search);
    const body = new Uint8Array(await request.arrayBuffer());
    const call = { files: this.#container.files, user: this.supervisor.user, query, body };
    const reply = fileOperation(query.get("op") ?? "", call);
    if (!("facts" in reply)) return this.#error(reply.status, reply.error, reply.detail);
    const headers = { "x-boot-id": this.#keys.bootId, "x-file": reply.facts };
    return new Response(reply.body, { headers: { ...headers, "content-length": String(reply.body.length) } });
  }

  #startAgent(): Response {
    this.#container.startAgent();
    return this.#json({ agent: "starting" });
  }

  #directory(path: string): Response {
    try {
      return this.#json({ ...ownDirectory(this.#container.files, path, this.supervisor.user) });
    } catch (error) {
      if (error instanceof FileError) return this.#error(409, "bad_directory", error.message);
      throw error;
    }
  }

  #place(query: URLSearchParams, names: Uint8Array): Response {
    const { files } = this.#container;
    const path = query.get("path") ?? "";
    const deletes = decodeName(names).split("\0").filter(Boolean);
    try {
      ownDirectory(files, path, this.supervisor.user);
      place(files, `${INCOMING}/${query.get("from")}`, path, deletes, this.supervisor.user);
      return this.#json({ placed: true });
    } catch (error) {
      if (error instanceof FileError) return this.#error(409, "bad_directory", error.message);
      throw error;
    }
  }

  async #applyClaim(epochText: string | null, body: ArrayBuffer): Promise<Response> {
    const epoch = Number(epochText);
    if (!Number.isSafeInteger(epoch)) return this.#error(400, "bad_request", "epoch must be a whole number");
    const answer = await this.#claim.apply(epoch, new Uint8Array(body));
    return this.#json(answer.body, answer.status);
  }

  /** A request to the storage gateway, as curl sends it. */
  async sink(method: "GET" | "PUT", path: string, body?: Uint8Array<ArrayBuffer>): Promise<Response> {
    const headers = {
      "x-boilerhouse-access-key": this.#keys.accessKeyId,
      ...(body && { "content-type": "application/x-tar" }),
    };
    const request = new Request(`http://sink.internal/${path}`, { method, headers, ...(body && { body }) });
    return await this.#container.egress.outbound(request);
  }

  #noState = (): Response => this.#error(409, "no_state", "there is no state directory");
  #json = (body: Record<string, unknown>, status = 200): Response =>
    Response.json({ bootId: this.#keys.bootId, ...body }, { status });
  #error = (status: number, error: string, detail: string): Response => this.#json({ error, detail }, status);
}

/** `name` or `uid[:gid]`, among the users of the base image. */
function userOf(user: string): Owner {
  if (user === "workload") return { uid: 10001, gid: 10001 };
  if (user === "root") return ROOT;
  const [uid = "10001", gid = uid] = user.split(":");
  return { uid: Number(uid), gid: Number(gid) };
}
