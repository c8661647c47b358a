import { messageOf } from "../classify.ts";
import type { SimulatedContainer } from "./container.ts";
import { copyDown, listed, listedThere, noStats, type SyncOptions, type SyncStats, syncUp } from "./rclone.ts";
import { S3Client } from "./s3.ts";

interface Job {
  id: number;
  input: Input;
  path: string;
  startedAt: number;
  endedAt: number | null;
  error: string;
  stats: SyncStats;
  cancel: AbortController;
  /** Whose I/O it uses. An object that left memory takes that with it; the job is then begun again, as `sync` may be. */
  egress: unknown;
}
type Input = Readonly<Record<string, unknown>>;

const DEFAULT_TRANSFERS = 4;
const EXECUTE_ID = "simulated";

/** `rclone rcd`, as far as an Instance uses it. */
export class SimulatedAgent {
  readonly #container: SimulatedContainer;
  readonly #jobs = new Map<number, Job>();

  constructor(container: SimulatedContainer) {
    this.#container = container;
  }

  async serve(request: Request): Promise<Response> {
    const { bootKey } = this.#container.init.keys;
    if (request.headers.get("authorization") !== `Basic ${btoa(`boilerhouse:${bootKey}`)}`)
      return new Response(null, { status: 401 });
    const path = new URL(request.url).pathname.slice(1);
    const input: Input = JSON.parse((await request.text()) || "{}");
    try {
      return Response.json(await this.#call(path, input));
    } catch (error) {
      return Response.json({ error: messageOf(error), input, path, status: 500 }, { status: 500 });
    }
  }

  async #call(path: string, input: Input): Promise<Record<string, unknown>> {
    switch (path) {
      case "core/version":
        return { version: "v1.75.2", decomposed: [1, 75, 2], os: "linux", arch: "amd64", isGit: false, isBeta: false };
      case "sync/sync":
      case "sync/copy":
        return await this.#start(path, input);
      case "operations/list":
        return { list: await this.#list(String(input.fs), strings(record(input._filter).FilterRule)) };
      case "core/bwlimit":
        return { rate: String(input.rate) };
      case "job/status":
        return this.#status(this.#job(input));
      case "job/stop":
        this.#job(input).cancel.abort();
        return {};
      case "core/stats":
        return this.#statsOf(String(input.group ?? ""));
      default:
        throw new Error(`couldn't find path "${path}"`);
    }
  }

  async #list(fs: string, rules: string[]): Promise<unknown[]> {
    if (!isRemote(fs)) return listed(this.#container.files, fs, rules);
    const { client, prefix } = this.#remote(fs);
    return listedThere(client, prefix, rules);
  }

  #remote(fs: string): { client: S3Client; prefix: string } {
    const { bucket, prefix } = destination(fs);
    return { client: new S3Client(this.#container.egress, this.#container.init.keys.accessKeyId, bucket), prefix };
  }

  async #start(path: string, input: Input): Promise<Record<string, unknown>> {
    const job: Job = {
      id: this.#jobs.size + 1,
      input,
      path,
      startedAt: this.#container.now(),
      endedAt: null,
      error: "",
      stats: noStats(),
      cancel: new AbortController(),
      egress: this.#container.egress,
    };
    this.#jobs.set(job.id, job);
    const run = this.#run(job);
    if (input._async === true) return { jobid: job.id, executeId: EXECUTE_ID };
    await run;
    if (job.error) throw new Error(job.error);
    return {};
  }

  async #run(job: Job): Promise<void> {
    try {
      const fault = await Promise.race([this.#container.pass("sync"), aborted(job.cancel.signal)]);
      if (fault?.how === "fail") throw new Error(fault.detail ?? "a planned fault");
      const { files } = this.#container;
      const { srcFs = "", dstFs = "" } = job.input as Record<string, string>;
      const options = optionsOf(job);
      const { signal } = job.cancel;
      if (isRemote(dstFs)) {
        const { client, prefix } = this.#remote(dstFs);
        await syncUp(files, srcFs, client, prefix, options, job.stats, signal);
      } else {
        const { client, prefix } = this.#remote(srcFs);
        const [compareDest = null] = strings(record(job.input._config).CompareDest);
        await copyDown(files, client, prefix, { directory: dstFs, compareDest }, options, job.stats, signal);
      }
    } catch (error) {
      job.error = messageOf(error);
      if (job.stats.errors === 0) Object.assign(job.stats, { errors: 1, lastError: job.error });
    }
    job.endedAt = this.#container.now();
  }

  #status(job: Job): Record<string, unknown> {
    if (job.endedAt === null && job.egress !== this.#container.egress) {
      job.egress = this.#container.egress;
      job.stats = noStats();
      this.#run(job);
    }
    const finished = job.endedAt !== null;
    return {
      id: job.id,
      executeId: EXECUTE_ID,
      group: `job/${job.id}`,
      finished,
      success: finished && job.error === "",
      error: job.error,
      duration: ((job.endedAt ?? job.startedAt) - job.startedAt) / 1000,
      startTime: new Date(job.startedAt).toISOString(),
      endTime: job.endedAt === null ? "0001-01-01T00:00:00Z" : new Date(job.endedAt).toISOString(),
      output: finished ? {} : null,
    };
  }

  #statsOf(group: string): Record<string, unknown> {
    const job = this.#jobs.get(Number(group.replace(/^job\//, "")));
    return { ...(job?.stats ?? noStats()), deletedDirs: 0, renames: 0, fatalError: false, retryError: false };
  }

  #job(input: Input): Job {
    const job = this.#jobs.get(Number(input.jobid));
    if (!job) throw new Error("job not found");
    return job;
  }
}

function optionsOf({ path, input }: Job): SyncOptions {
  const config = record(input._config);
  const { BackupDir: backup, MaxDelete: maxDelete, Transfers: transfers } = config;
  return {
    deleteExtra: path === "sync/sync",
    ignoreTimes: config.IgnoreTimes === true,
    transfers: typeof transfers === "number" ? transfers : DEFAULT_TRANSFERS,
    rules: strings(record(input._filter).FilterRule),
    deleteExcluded: record(input._filter).DeleteExcluded === true,
    links: config.Links === true,
    checkSum: config.CheckSum === true,
    backup: typeof backup === "string" ? destination(backup).prefix : null,
    maxDelete: typeof maxDelete === "number" ? maxDelete : Number.POSITIVE_INFINITY,
  };
}

const isRemote = (fs: string): boolean => !fs.startsWith("/");

/** `sink,option=value…:bucket/prefix`. */
function destination(remote: string): { bucket: string; prefix: string } {
  const [, bucket = "", prefix = ""] = /^[^:]*:([^/]*)\/?(.*)$/.exec(remote) ?? [];
  return { bucket, prefix: prefix === "" || prefix.endsWith("/") ? prefix : `${prefix}/` };
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(new Error("context canceled")));
  });
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? { ...value } : {};
const strings = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);
