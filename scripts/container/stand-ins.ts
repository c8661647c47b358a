import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command, has, must } from "../command.ts";
import { ROOT } from "../paths.ts";
import { Unusable } from "../steps.ts";
import { debianMirror, unpackPackages } from "./apt.ts";

/**
 * Local stand-ins for the public images that our Dockerfiles begin with, for a machine that cannot reach their registry.
 * They carry the public names, so that the Dockerfiles stay the standard ones. Built from the machine's own Debian mirror
 * and from node_modules; needs root.
 */
export const STAND_INS: Readonly<Record<string, (directory: string) => Promise<void>>> = {
  "debian:trixie-slim": (directory) => buildDebian("trixie", directory),
  "debian:bookworm-slim": (directory) => buildDebian("bookworm", directory),
  "rclone/rclone:1.75": buildRclone,
  "node:24-trixie-slim": buildNode,
};

/** Builds those of the named images that have a stand-in. */
export async function buildStandIns(names: readonly string[]): Promise<void> {
  if (process.platform !== "linux" || process.getuid?.() !== 0 || !(await has("dpkg"))) {
    throw new Unusable(
      `The registry of ${names.join(", ")} cannot be reached, and stand-ins can only be built on Debian as root: connect to it and try again.`,
    );
  }
  const directory = mkdtempSync(join(tmpdir(), "boilerhouse-images-"));
  try {
    // The others do not build on Debian's image, so all go at once.
    await Promise.all(
      names.map(async (name) => {
        const own = join(directory, name.replace(/\W/g, "-"));
        mkdirSync(own);
        await STAND_INS[name]?.(own);
      }),
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What an image does not need to run. */
const UNREAD = [
  "usr/share/doc",
  "usr/share/man",
  "usr/share/info",
  "usr/share/locale",
  "usr/share/i18n",
  "usr/share/lintian",
  "usr/lib/locale",
  "var/cache/apt",
  "var/lib/apt/lists",
  "var/log",
];

async function buildDebian(suite: "trixie" | "bookworm", directory: string): Promise<void> {
  const rootfs = join(directory, "rootfs");
  const tool = await debootstrap(directory);
  await must(tool.program, ["--variant=minbase", "--include=ca-certificates", suite, rootfs, debianMirror()], {
    env: { ...process.env, ...tool.env },
  });
  for (const path of UNREAD) {
    rmSync(join(rootfs, path), { recursive: true, force: true });
    mkdirSync(join(rootfs, path), { recursive: true });
  }
  // Packages that are added later leave out the same, and keep no downloads.
  writeFileSync(
    join(rootfs, "etc/dpkg/dpkg.cfg.d/slim"),
    ["doc", "man", "info", "locale"].map((name) => `path-exclude=/usr/share/${name}/*\n`).join(""),
  );
  writeFileSync(
    join(rootfs, "etc/apt/apt.conf.d/slim"),
    'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\nAcquire::Languages "none";\nAPT::Install-Recommends "false";\n',
  );
  await pipeToImport(rootfs, `debian:${suite}-slim`);
}

/** The installed debootstrap, else one unpacked here: with an engine present nothing is installed on the system. */
async function debootstrap(directory: string): Promise<{ program: string; env: NodeJS.ProcessEnv }> {
  if (await has("debootstrap")) return { program: "debootstrap", env: {} };
  if (!(await has("wget")))
    throw new Unusable("debootstrap needs wget: install it (apt-get install wget) and try again.");
  const unpacked = join(directory, "tools");
  mkdirSync(unpacked);
  await unpackPackages("trixie", ["debootstrap"], unpacked);
  return {
    program: join(unpacked, "usr/sbin/debootstrap"),
    env: { DEBOOTSTRAP_DIR: join(unpacked, "usr/share/debootstrap") },
  };
}

/** Debian 13 itself has rclone 1.60; the one of unstable needs no newer C library. */
async function buildRclone(directory: string): Promise<void> {
  const packages = join(directory, "packages");
  mkdirSync(packages);
  await unpackPackages("unstable", ["rclone"], packages);
  await importProgram(directory, "rclone/rclone:1.75", join(packages, "usr/bin/rclone"), "rclone");
}

/** The Node that runs this, which npm has installed. Only its binary is copied out of the image. */
async function buildNode(directory: string): Promise<void> {
  await importProgram(directory, "node:24-trixie-slim", join(ROOT, "node_modules/node/bin/node"), "node");
}

async function importProgram(directory: string, image: string, program: string, name: string): Promise<void> {
  const rootfs = join(directory, "rootfs");
  mkdirSync(join(rootfs, "usr/local/bin"), { recursive: true });
  copyFileSync(program, join(rootfs, "usr/local/bin", name));
  chmodSync(join(rootfs, "usr/local/bin", name), 0o755);
  await pipeToImport(rootfs, image);
}

async function pipeToImport(rootfs: string, image: string): Promise<void> {
  const pipeline = 'set -e; tar -C "$1" -c . | docker import --change "LABEL boilerhouse.stand-in=yes" - "$2"';
  await must("sh", ["-c", pipeline, "sh", rootfs, image]);
}

/** Whether an image with this name is here. */
export async function imageExists(name: string): Promise<boolean> {
  return (await command("docker", ["image", "inspect", "--format", "{{.Id}}", name], { timeoutMs: 20_000 })).code === 0;
}

/** Text of a file of the repository, empty when it does not exist. */
export function textOf(path: string): string {
  return existsSync(join(ROOT, path)) ? readFileSync(join(ROOT, path), "utf8") : "";
}
