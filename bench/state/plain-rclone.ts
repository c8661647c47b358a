import { command, must } from "../../scripts/command.ts";
import { median } from "../harness/statistics.ts";
import { changeFiles, type Tree, writeTree } from "../harness/trees.ts";

/** What tuned means (contract: How numbers are measured). */
const TUNED = "--transfers 32 --checkers 32 --fast-list";
const SOURCE = "/dev/shm/source";
const TARGET = "/dev/shm/target";

/**
 * The same rclone and the same files in the same image, sent to a plain S3 server: what anyone would do without us. It is
 * given every advantage: the host's network instead of a sidecar, files and server in memory, no time of the engine's.
 */
export class PlainRclone {
  readonly #container: string;
  #runs = 0;
  private constructor(container: string) {
    this.#container = container;
  }

  /** @param s3Port of the S3 server on this machine, or of whatever makes it look further away */
  static async start(s3Port: number): Promise<PlainRclone> {
    const s3 = "RCLONE_CONFIG_S3_";
    const settings = {
      TYPE: "s3",
      PROVIDER: "Other",
      REGION: "auto",
      ENDPOINT: `http://127.0.0.1:${s3Port}/cdn-cgi/local/r2/s3`,
      ACCESS_KEY_ID: "bench-local",
      SECRET_ACCESS_KEY: "bench-local",
      FORCE_PATH_STYLE: "true",
      NO_CHECK_BUCKET: "true",
    };
    const environment = Object.entries(settings).flatMap(([name, value]) => ["-e", `${s3}${name}=${value}`]);
    const run = ["run", "-d", "--rm", "--network", "host", "-u", "workload", ...environment];
    const id = await must("docker", [...run, "--entrypoint", "sleep", "boilerhouse-sandbox", "infinity"]);
    return new PlainRclone(id.trim());
  }

  /** Milliseconds to send a tree that is all new, then unchanged, then with five changes, and to fetch it, as far as asked for. */
  async round<K extends Step>(tree: Tree, steps: readonly K[]): Promise<Record<K, number>> {
    this.#runs += 1;
    const remote = `s3:plain/run-${this.#runs}`;
    await this.#shell(`rm -rf ${SOURCE} ${TARGET}`);
    await writeTree(this.#container, SOURCE, tree);
    const up = `rclone sync ${SOURCE} ${remote} ${TUNED}`;
    const lines: Readonly<Record<Step, string>> = {
      fresh: up,
      unchanged: up,
      changed: up,
      fetched: `rclone copy ${remote} ${TARGET} ${TUNED}`,
    };
    const found: Partial<Record<Step, number>> = {};
    for (const step of STEPS.filter((step) => step === "fresh" || steps.includes(step as K))) {
      if (step === "changed") await changeFiles(this.#container, SOURCE, tree, Math.min(5, tree.files));
      found[step] = await this.#timed(lines[step]);
    }
    return found as Record<K, number>;
  }

  async stop(): Promise<void> {
    // It removes itself when it ends: that this has begun already is no failure.
    await command("docker", ["rm", "-f", "-v", this.#container]);
  }

  async #timed(line: string): Promise<number> {
    const printed = await this.#shell(`a=$(date +%s%N); ${line} || exit 1; b=$(date +%s%N); echo $(((b - a) / 1000))`);
    return Number(printed) / 1_000;
  }

  #shell(line: string): Promise<string> {
    return must("docker", ["exec", this.#container, "sh", "-c", line]);
  }
}

const STEPS = ["fresh", "unchanged", "changed", "fetched"] as const;
/** What there is to compare with. */
export type Step = (typeof STEPS)[number];

export const plain = <K extends Step>(rounds: readonly Readonly<Record<K, number>>[], what: K) => ({
  with: "plain rclone",
  value: median(rounds.map((round) => round[what])),
});
