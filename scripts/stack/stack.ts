import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { containerEnvironment } from "../container/environment.ts";
import { ROOT } from "../paths.ts";
import { Unusable } from "../steps.ts";
import { prepareAssets } from "./assets.ts";
import { untagBuilds } from "./builds.ts";
import { readVars } from "./dev-vars.ts";
import { applyMigrations } from "./migrations.ts";
import { freePort, portIsFree } from "./ports.ts";
import { familyOf, kill, type ProcessId } from "./processes.ts";
import { clearRemains, isTended, readRecord, removeContainers, writeRecord } from "./record.ts";
import { sweepRemains } from "./remains.ts";

export interface StackOptions {
  /** Everything that the stack writes: state, log, record. The same directory again continues with the same state. */
  readonly stateDir: string;
  /** A free one when left out. */
  readonly port?: number;
  /** Another wrangler configuration than the product's own; absolute. Its Worker answers 200 on `/health`. */
  readonly config?: string;
  /** Another entry than the configuration's; absolute. */
  readonly entry?: string;
  /** No containers at all: the same system on the simulated runtime. */
  readonly simulated?: boolean;
  /** Variables of the Worker, over those of `varsFile`. */
  readonly vars?: Readonly<Record<string, string>>;
  /** A file with ADMIN_KEY and SECRETS_KEY; without it the stack makes its own. */
  readonly varsFile?: string;
  /** Where wrangler's output goes; `wrangler.log` in the state directory when left out. */
  readonly logFile?: string;
  /** How long `wrangler dev` may take to answer, in ms. */
  readonly startTimeoutMs?: number;
}

const STOP_GRACE_MS = 2_500;
const SECRETS = ["ADMIN_KEY", "SECRETS_KEY"];

/** The whole system on this machine: one `wrangler dev` with everything below it. */
export class Stack {
  readonly url: string;
  readonly port: number;
  readonly adminKey: string;
  readonly logFile: string;
  /** The Worker's name, which is part of the name of every container of this stack. */
  readonly worker: string;
  /** Resolves when wrangler has ended, however it did. */
  readonly ended: Promise<void>;
  readonly #child: ChildProcess;
  readonly #recordPath: string;
  readonly #refresh: NodeJS.Timeout;
  #family: readonly ProcessId[] = [];
  #over = false;

  constructor(
    child: ChildProcess,
    facts: { port: number; adminKey: string; logFile: string; worker: string; recordPath: string },
  ) {
    this.#child = child;
    this.port = facts.port;
    this.url = `http://127.0.0.1:${facts.port}`;
    this.adminKey = facts.adminKey;
    this.logFile = facts.logFile;
    this.worker = facts.worker;
    this.#recordPath = facts.recordPath;
    this.ended = new Promise((resolve) => child.once("exit", () => resolve()));
    void this.ended.then(() => {
      this.#over = true;
      clearInterval(this.#refresh);
    });
    // wrangler may start processes later; whoever clears up after us has to know them.
    this.#refresh = setInterval(() => void this.record(), 1_000);
    this.#refresh.unref();
  }

  /** A request to the API as admin; the body is sent as JSON. */
  api(method: string, path: string, body?: unknown, timeoutMs = 300_000): Promise<Response> {
    return fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.adminKey}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
  }

  /** Waits until a path answers 200; throws with the end of the log when it does not in time, or wrangler ends first. */
  async waitFor(path: string, timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    let last = "no answer";
    while (Date.now() < deadline && !this.#over) {
      try {
        const response = await fetch(`${this.url}${path}`, { signal: AbortSignal.timeout(5_000) });
        const text = await response.text();
        if (response.status === 200) return;
        last = `${response.status} ${text.slice(0, 300)}`;
      } catch {
        last = "no answer";
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Unusable(
      `${path} of ${this.url} is not ready: ${this.#over ? "wrangler has ended" : last}\n${this.logTail()}`,
    );
  }

  /** Stops it with everything that it started, within five seconds. */
  async stop(): Promise<void> {
    await this.record();
    if (!this.#over) this.#child.kill("SIGINT");
    const grace = new Promise<void>((resolve) => setTimeout(resolve, STOP_GRACE_MS).unref());
    await Promise.race([this.ended, grace]);
    await this.clear();
    await untagBuilds(this.logFile);
  }

  /** Ends wrangler as a SIGKILL does, on purpose: workerd and the containers stay, as they would then. */
  async crash(): Promise<void> {
    await this.record();
    const { pid } = this.#child;
    const wrangler = this.#family.filter((one) => one.pid === pid || isNode(one.pid));
    await kill(wrangler);
    await this.ended;
  }

  /** Ends whatever is left of it. */
  async clear(): Promise<void> {
    clearInterval(this.#refresh);
    const record = readRecord(this.#recordPath);
    if (record?.worker === this.worker) await clearRemains(this.#recordPath, record);
    else await removeContainers(this.worker);
  }

  /** Writes down what is running now. */
  async record(): Promise<void> {
    if (this.#over || this.#child.pid === undefined) return;
    const family = await familyOf(this.#child.pid);
    const [owner] = await familyOf(process.pid);
    if (this.#over || !owner || same(family, this.#family)) return;
    this.#family = family;
    writeRecord(this.#recordPath, { owner, port: this.port, worker: this.worker, processes: family });
  }

  /** wrangler and everything below it, as it is now. */
  async processes(): Promise<readonly ProcessId[]> {
    await this.record();
    return this.#family;
  }

  logTail(lines = 20): string {
    return existsSync(this.logFile)
      ? readFileSync(this.logFile, "utf8").trimEnd().split("\n").slice(-lines).join("\n")
      : "";
  }
}

/**
 * Starts the system and waits until it answers `/health`. What a predecessor with the same state directory left running
 * is ended first. Throws `Unusable` when the port is busy or wrangler does not come up.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const recordPath = recordOf(options.stateDir);
  const port = options.port ?? (await freePort());
  await makeRoom(options.stateDir, port);
  mkdirSync(options.stateDir, { recursive: true });
  const environment = options.simulated ? {} : await containerEnvironment();
  const varsFile = options.varsFile ?? ownVars(options);
  prepareAssets();
  await applyMigrations(options.stateDir);

  const logFile = options.logFile ?? `${options.stateDir}/wrangler.log`;
  if (!options.simulated) await untagBuilds(logFile); // of a run that was killed
  const log = openSync(logFile, "w");
  const worker = workerName(options.stateDir);
  const vars = Object.entries({
    ENVIRONMENT: "development",
    ...options.vars,
    ...(options.simulated ? { RUNTIME: "simulated" } : {}),
  });
  const child = spawn(
    process.execPath,
    [
      `${ROOT}/node_modules/wrangler/bin/wrangler.js`,
      "dev",
      ...(options.entry === undefined ? [] : [options.entry]),
      ...(options.config === undefined ? [] : ["--config", options.config]),
      ...["--name", worker, "--ip", "127.0.0.1", "--port", String(port), "--inspector-port", String(await freePort())],
      ...["--persist-to", `${options.stateDir}/state`, "--env-file", varsFile],
      ...(options.simulated ? ["--enable-containers=false"] : []),
      // Arguments can be read by everybody; secrets are in the file.
      ...vars.filter(([name]) => !SECRETS.includes(name)).flatMap(([name, value]) => ["--var", `${name}:${value}`]),
    ],
    {
      cwd: ROOT,
      detached: true,
      stdio: ["ignore", log, log],
      env: { ...process.env, ...environment, ...quiet(options) },
    },
  );
  child.on("error", () => {}); // `ended` and the log tell
  const stack = new Stack(child, { port, adminKey: readVars(varsFile).ADMIN_KEY ?? "", logFile, worker, recordPath });
  if (!options.simulated) void stack.ended.then(sweepRemains(worker));
  try {
    await stack.record();
    await stack.waitFor("/health", options.startTimeoutMs ?? 120_000);
    await stack.record();
    return stack;
  } catch (problem) {
    await stack.stop();
    throw problem;
  }
}

async function clearPredecessor(recordPath: string): Promise<void> {
  const record = readRecord(recordPath);
  if (!record) return;
  if (record.owner.pid !== process.pid && (await isTended(record))) {
    throw new Unusable(`It is running already, on port ${record.port} (process ${record.owner.pid}): end that first.`);
  }
  const left = await clearRemains(recordPath, record);
  if (left.processes + left.containers > 0) {
    console.log(
      `  a predecessor was killed: ended ${left.processes} of its processes and removed ${left.containers} of its containers`,
    );
  }
}

const recordOf = (stateDir: string): string => `${stateDir}/stack.json`;

/** Ends what a killed predecessor left, and makes sure of the port. @throws Unusable when something else has it */
export async function makeRoom(stateDir: string, port: number): Promise<void> {
  await clearPredecessor(recordOf(stateDir));
  if (await portIsFree(port)) return;
  throw new Unusable(
    `Port ${port} is in use by another program: end that one, or choose another port (PORT=${port + 1} npm start).`,
  );
}

/** Unique for a state directory, so that stacks side by side never touch each other's containers. */
function workerName(stateDir: string): string {
  return `boilerhouse-${createHash("sha256").update(stateDir).digest("hex").slice(0, 8)}`;
}

/** The same secrets as long as the state lives: what was encrypted with them is in it. */
function ownVars(options: StackOptions): string {
  const path = `${options.stateDir}/vars`;
  const before = existsSync(path) ? readVars(path) : {};
  const vars = {
    ADMIN_KEY: randomBytes(24).toString("base64url"),
    SECRETS_KEY: randomBytes(32).toString("base64"),
    ...before,
    ...Object.fromEntries(Object.entries(options.vars ?? {}).filter(([name]) => SECRETS.includes(name))),
  };
  writeFileSync(
    path,
    Object.entries(vars)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(""),
    { mode: 0o600 },
  );
  return path;
}

/**
 * Nothing is reported or asked for elsewhere, and stacks do not look for each other. Nor does wrangler record every request
 * and open /cdn-cgi/explorer, which shows all that is stored to whoever asks, without a key, and halves the claims a second.
 */
function quiet(options: StackOptions): NodeJS.ProcessEnv {
  return {
    WRANGLER_SEND_METRICS: "false",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    X_LOCAL_EXPLORER: "false",
    X_LOCAL_OBSERVABILITY: "false",
    WRANGLER_REGISTRY_PATH: `${options.stateDir}/registry`,
    CI: "1",
    NO_COLOR: "1",
  };
}

function isNode(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("wrangler");
  } catch {
    return false;
  }
}

function same(a: readonly ProcessId[], b: readonly ProcessId[]): boolean {
  return a.length === b.length && a.every(({ pid }, index) => b[index]?.pid === pid);
}
