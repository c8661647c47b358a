import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync } from "node:fs";
import { command, must } from "../command.ts";
import { ROOT } from "../paths.ts";
import { note, step } from "../steps.ts";
import { buildStandIns, imageExists, textOf } from "./stand-ins.ts";

/** What `wrangler` calls instead of `docker`. */
export const DOCKER_FOR_WRANGLER = `${ROOT}/scripts/container/docker`;

/** The images that wrangler.jsonc names, by the tag that our own tests use for them. */
const OURS = {
  "boilerhouse-base": "containers/base/Dockerfile",
  "boilerhouse-sandbox": "containers/sandbox/Dockerfile",
};

/** The public images that they begin with. */
const BASES = ["debian:trixie-slim", "rclone/rclone:1.75", "node:24-trixie-slim"];

/** An image of tests only: nothing but the suite that needs it should wait for it. */
const CLIENTS = {
  tag: "boilerhouse-clients",
  dockerfile: "containers/clients/Dockerfile",
  base: "debian:bookworm-slim",
};

const SIDECAR_SOURCES = "containers/egress-sidecar";

/** Makes every image be there, and returns the environment that makes `wrangler dev` find them. */
export async function ensureImages(): Promise<NodeJS.ProcessEnv> {
  await ensurePublicImages(BASES);
  const environment: NodeJS.ProcessEnv = { WRANGLER_DOCKER_BIN: DOCKER_FOR_WRANGLER };
  const sidecar = await ensureSidecar();
  if (sidecar) environment.MINIFLARE_CONTAINER_EGRESS_IMAGE = sidecar;

  await step("Building our container images (unchanged ones are cached)", async () => {
    for (const [tag, dockerfile] of Object.entries(OURS)) await build(tag, dockerfile, ROOT);
  });
  return environment;
}

/** Makes the image of other people's S3 clients be there (minutes, once: their packages are many). */
export async function ensureClients(): Promise<void> {
  await ensurePublicImages([CLIENTS.base]);
  await step("Building the image of S3 clients (unchanged it is cached)", () =>
    build(CLIENTS.tag, CLIENTS.dockerfile, ROOT),
  );
}

async function ensurePublicImages(wanted: readonly string[]): Promise<void> {
  const names: string[] = [];
  for (const name of wanted) if (!(await imageExists(name))) names.push(name);
  if (names.length === 0) return;
  await step(`Getting the images that ours are built on: ${names.join(", ")}`, async () => {
    if (await pull(names[0] ?? "")) {
      for (const name of names.slice(1)) await must("docker", ["pull", "-q", name]);
    } else {
      note(
        "their registry cannot be reached; building stand-ins from this machine's Debian mirror (about a minute, once)",
      );
      await buildStandIns(names);
    }
  });
}

/** Pulls an image; false when its registry does not answer within ten seconds. */
function pull(name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn("docker", ["pull", name], { stdio: ["ignore", "pipe", "ignore"] });
    const limit = setTimeout(() => child.kill("SIGKILL"), 10_000);
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (text.includes("Pulling from")) clearTimeout(limit); // it answers; from here on it may take its time
    });
    child.on("error", () => resolve(false));
    child.on("close", (code) => {
      clearTimeout(limit);
      resolve(code === 0);
    });
  });
}

/**
 * The networking sidecar that workerd starts beside every container: the public one where it can be pulled, which
 * wrangler does by itself (null), else our stand-in, under a tag that changes with its sources.
 */
async function ensureSidecar(): Promise<string | null> {
  const publicOnes = await command("docker", ["image", "ls", "-q", "cloudflare/proxy-everything"]);
  if (publicOnes.stdout.trim()) return null;
  if (!(await usesStandIns())) return null;
  const tag = `boilerhouse-egress-sidecar:${sourcesHash()}`;
  if (!(await imageExists(tag))) {
    await step("Building the networking sidecar that runs beside every container locally", () =>
      build(tag, `${SIDECAR_SOURCES}/Dockerfile`, `${ROOT}/${SIDECAR_SOURCES}`),
    );
  }
  return tag;
}

async function usesStandIns(): Promise<boolean> {
  const label = '{{index .Config.Labels "boilerhouse.stand-in"}}';
  return (
    (await command("docker", ["image", "inspect", "--format", label, "debian:trixie-slim"])).stdout.trim() === "yes"
  );
}

function sourcesHash(): string {
  const hash = createHash("sha256");
  for (const name of readdirSync(`${ROOT}/${SIDECAR_SOURCES}`).sort())
    hash.update(name).update(textOf(`${SIDECAR_SOURCES}/${name}`));
  return hash.digest("hex").slice(0, 12);
}

async function build(tag: string, dockerfile: string, context: string): Promise<void> {
  await must(DOCKER_FOR_WRANGLER, ["build", "-q", "-t", tag, "-f", `${ROOT}/${dockerfile}`, context], {
    timeoutMs: 900_000,
  });
}
