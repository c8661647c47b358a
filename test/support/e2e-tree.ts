import type { Container } from "./e2e-docker.ts";

/** A tree with everything that a careless copy loses. Run as the workload's user, in the state directory. */
export const TREE = `cd /data
umask 022
mkdir -p deep/er empty private
echo one > deep/er/one.txt
printf '#!/bin/sh\\necho hi\\n' > run.sh; chmod 750 run.sh
: > nothing; chmod 604 nothing
printf 'x' > 'a name with spaces, ünïcode & "quotes"'
printf 'y' > deep/-dash; printf 'z' > 'deep/100%25+plus#hash?'
ln -s deep/er/one.txt link
ln -s /nowhere/at-all dangling
ln -s deep linked-directory
chmod 2770 private
touch -d '2001-02-03 04:05:06.123456789Z' deep/er/one.txt
touch -d '1999-12-31 23:59:59.000000001Z' nothing
touch -h -d '2010-10-10 10:10:10.5Z' link
for i in $(seq 20); do echo "file $i" > deep/f$i; done
touch -d '2015-05-05 05:05:05.5Z' empty private deep/er`;

/** Names that a careless copy trips over, and a file of two names. To be run after the tree. */
export const ODD_NAMES = `
ln run.sh hard-link
long=$(printf 'n%.0s' $(seq 120)); mkdir -p "$long/$long/$long"; echo long > "$long/$long/$long/$long"; ln -s "$long/$long/$long/$long" long-link
printf a > "$(printf 'bytes\\377\\200.bin')"; printf b > "$(printf 'two\\nlines\\ttab')"; printf c > 'trailing space '; printf d > .hidden
touch -d '2015-05-05 05:05:05.5Z' "$long/$long/$long" "$long/$long" "$long" .`;

/** Everything that must survive, one line each: path, kind, mode, owner, size (of files), mod-time, target, content. */
export async function listing(container: Container): Promise<string> {
  const format = String.raw`%P\t%y\t%m\t%U\t%G\t%s\t%T@\t%l\n`;
  const found = await container.output("root", `cd /data && find . -printf '${format}' | LC_ALL=C sort`);
  const lines = found
    .trimEnd()
    .split("\n")
    .map((line) => {
      const [path = "", kind = "", mode, uid, gid, size, time, target] = line.split("\t");
      return [path, kind, mode, uid, gid, kind === "f" ? size : "", time, target].join("\t");
    });
  return `${lines.join("\n")}\n${await checksums(container)}`;
}

export const checksums = (container: Container): Promise<string> =>
  container.output("root", "cd /data && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum");
