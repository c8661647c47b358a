import { spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { command, has, must } from "../command.ts";
import { note, step } from "../steps.ts";

export type Engine =
  | { readonly ready: true; readonly version: string }
  | { readonly ready: false; readonly reason: string };

/** Where things that outlive a checkout are kept. */
const CACHE = `${process.env.XDG_CACHE_HOME ?? `${homedir()}/.cache`}/boilerhouse`;
const LOG = `${CACHE}/dockerd.log`;

/**
 * A container engine that answers: the one that runs, or the one that is installed, started, or (on Debian, as root) one
 * from Debian's own packages. Never throws: where none can be had, the reason is one line.
 */
export async function ensureEngine(): Promise<Engine> {
  const running = await version();
  if (running) return { ready: true, version: running };
  if (process.platform !== "linux") {
    return {
      ready: false,
      reason: "Docker does not answer: start Docker Desktop (or OrbStack, colima …) and try again.",
    };
  }
  if (process.getuid?.() !== 0) {
    return {
      ready: false,
      reason: "Docker does not answer, and only root can start it: start it, or run this as root.",
    };
  }
  try {
    if (!(await has("dockerd"))) {
      if (!(await has("apt-get"))) {
        return {
          ready: false,
          reason: "Docker is not installed, and this is not Debian: install Docker Engine and try again.",
        };
      }
      await step("Installing Docker Engine from Debian's packages: tenants run in containers", install);
    }
    return await step("Starting Docker Engine: it is installed but does not answer", start);
  } catch (problem) {
    return { ready: false, reason: oneLine(problem) };
  }
}

async function version(): Promise<string | null> {
  const { code, stdout } = await command("docker", ["info", "--format", "{{.ServerVersion}}"], { timeoutMs: 20_000 });
  return code === 0 && stdout.trim() ? stdout.trim() : null;
}

async function install(): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  await must("apt-get", ["update", "-qq"], { env });
  await must("apt-get", ["install", "-y", "-qq", "--no-install-recommends", "docker.io", "iptables"], { env });
}

/** In a session of its own, so that Ctrl-C here leaves it running for others. */
async function start(): Promise<Engine> {
  if (existsSync("/run/systemd/system")) await command("systemctl", ["start", "docker"], { timeoutMs: 60_000 });
  const bySystemd = await version();
  if (bySystemd) return { ready: true, version: bySystemd };

  mkdirSync(CACHE, { recursive: true });
  const log = openSync(LOG, "a");
  const daemon = spawn("dockerd", await daemonOptions(), { detached: true, stdio: ["ignore", log, log] });
  let ended = false;
  daemon.on("error", () => (ended = true));
  daemon.on("exit", () => (ended = true));
  daemon.unref();
  for (let tries = 0; tries < 150 && !ended; tries++) {
    const answered = await version();
    if (answered) {
      note(`its log is ${LOG}`);
      return { ready: true, version: answered };
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const last = readFileSync(LOG, "utf8").trim().split("\n").at(-1) ?? "";
  return { ready: false, reason: `Docker Engine does not start (${LOG}): ${last.slice(0, 300)}` };
}

/** Engine 20.10 reports no gateway for its bridge unless the bridge's address is given, and workerd needs the gateway. */
async function daemonOptions(): Promise<string[]> {
  const configuration = "/etc/docker/daemon.json";
  if (existsSync(configuration) && readFileSync(configuration, "utf8").includes('"bip"')) return [];
  const found = /version (\d+)\./.exec((await command("dockerd", ["--version"])).stdout);
  return Number(found?.[1] ?? 0) < 23 ? ["--bip", "172.17.0.1/16"] : [];
}

function oneLine(problem: unknown): string {
  return String(problem instanceof Error ? problem.message : problem)
    .replace(/\s+/g, " ")
    .slice(0, 400);
}
