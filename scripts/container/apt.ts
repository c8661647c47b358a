import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { must } from "../command.ts";

/** Debian packages from another suite than the machine's, from the mirror that the machine itself uses. */

/** The machine's mirror: the first archive in its apt sources that has Debian's main component. */
export function debianMirror(): string {
  for (const path of sourceFiles()) {
    const text = readFileSync(path, "utf8");
    const found = path.endsWith(".sources") ? fromStanzas(text) : fromLines(text);
    if (found) return found;
  }
  throw new Error("this machine's apt sources name no Debian mirror");
}

/** Downloads packages of a suite into a directory and unpacks them there, without touching the system. */
export async function unpackPackages(suite: string, packages: readonly string[], directory: string): Promise<void> {
  const state = `${directory}/.apt`;
  mkdirSync(`${state}/lists/partial`, { recursive: true });
  mkdirSync(`${state}/cache/archives/partial`, { recursive: true });
  writeFileSync(`${state}/sources.list`, `deb ${debianMirror()} ${suite} main\n`);
  const options = [
    `Dir::Etc::sourcelist=${state}/sources.list`,
    "Dir::Etc::sourceparts=-",
    `Dir::State::Lists=${state}/lists`,
    `Dir::Cache=${state}/cache`,
    "Acquire::Languages=none",
    "APT::Sandbox::User=root",
  ].flatMap((option) => ["-o", option]);
  await must("apt-get", [...options, "-qq", "update"], { cwd: state });
  await must("apt-get", [...options, "-qq", "download", ...packages], { cwd: state });
  for (const name of readdirSync(state)) {
    if (name.endsWith(".deb")) await must("dpkg", ["-x", `${state}/${name}`, directory]);
  }
}

function sourceFiles(): string[] {
  const directory = "/etc/apt/sources.list.d";
  const listed = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(list|sources)$/.test(entry.name))
    .map((entry) => `${directory}/${entry.name}`)
    .sort();
  return [...listed, "/etc/apt/sources.list"].filter((path) => {
    try {
      readFileSync(path);
      return true;
    } catch {
      return false;
    }
  });
}

/** deb822: stanzas of `Types`, `URIs`, `Suites`, `Components`. */
function fromStanzas(text: string): string | null {
  for (const stanza of text.split(/\n\s*\n/)) {
    const field = (name: string) => new RegExp(`^${name}:\\s*(.+)$`, "im").exec(stanza)?.[1]?.trim() ?? "";
    if (isDebian(field("URIs"), field("Suites"), field("Components"))) return field("URIs").split(/\s+/)[0] ?? null;
  }
  return null;
}

/** One line each: `deb [options] URI suite component…`. */
function fromLines(text: string): string | null {
  for (const line of text.split("\n")) {
    const found = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)$/.exec(line.trim());
    if (found && isDebian(found[1] ?? "", found[2] ?? "", found[3] ?? "")) return found[1] ?? null;
  }
  return null;
}

/** The archive proper: not the security one, whose path ends otherwise, and no third party's. */
function isDebian(uri: string, suites: string, components: string): boolean {
  return /\/debian\/?(\s|$)/.test(uri) && !suites.includes("-security") && /\bmain\b/.test(components);
}
