import { afterAll, beforeAll, expect, test } from "vitest";
import { ensureClients } from "../../scripts/container/images.ts";
import { ROOT } from "../../scripts/paths.ts";
import type { Ran } from "../support/clients-harness/worker.ts";
import { STACKS } from "../support/e2e-paths.ts";
import { OwnStack, onContainers, stopShared } from "../support/e2e-stack.ts";

/**
 * Other people's S3 clients against the real gateway and Vault: as root in a container, with the key of its boot, into a save that is open.
 * Each sends a directory of its own as it likes; the save is then committed, which compares it with what is on disk, and restored.
 */
onContainers("clients of S3", () => {
  const stack = new OwnStack(`${STACKS}/clients`, { config: `${ROOT}/test/support/clients-harness/wrangler.jsonc` });
  let accessKey = "";

  const ask = async <T>(path: string, body: unknown = {}): Promise<T> => {
    const response = await fetch(stack.stack.url + path, { method: "POST", body: JSON.stringify(body) });
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  };
  /** Runs lines as root and answers what they print; any that fails fails the test, with what it said. */
  const run = async (script: string): Promise<string> => {
    const { exitCode, stdout, stderr } = await ask<Ran>("/run", {
      script: `${settings(accessKey)}\n${script}`,
      timeoutMs: 120_000,
    });
    expect(exitCode, `${stderr.slice(-2_000)}\n${stdout.slice(-1_000)}`).toBe(0);
    return stdout;
  };
  /** Opens a save of everything on disk, lets a client send its part, commits, and restores all of it elsewhere. */
  const saved = async (send: () => Promise<void>): Promise<void> => {
    await ask("/open");
    await send();
    const committed = await ask<{ ok: boolean; value: { generation: number } }>("/commit");
    expect(committed, JSON.stringify(committed)).toMatchObject({ ok: true });
    const restored = await run(RESTORE.replaceAll("GENERATION", String(committed.value.generation)));
    expect(restored).toContain("restored and the same");
  };

  beforeAll(async () => {
    await stopShared();
    await ensureClients();
    await stack.start();
    accessKey = (await ask<{ accessKeyId: string }>("/start")).accessKeyId;
    await run(SET_UP);
  }, 900_000);
  afterAll(async () => {
    await ask("/stop").catch(() => {}); // the stack's own end takes it along
    await stack.stop();
  }, 60_000);

  test("rclone: sync, check, copy, rcat, cat, and nothing to send the second time", async () => {
    await run(tree("rclone"));
    await saved(async () => {
      const said = await run(`
        rclone sync /data/rclone sink:state/rclone
        rclone check /data/rclone sink:state/rclone 2>&1
        test "$(rclone sync /data/rclone sink:state/rclone --stats-one-line -v 2>&1 | grep -c Copied || true)" = 0
        rclone copy sink:state/rclone /tmp/rclone && diff -r /data/rclone /tmp/rclone
        printf hello | rclone rcat sink:state/extra/rcat && test "$(rclone cat sink:state/extra/rcat)" = hello
        head -c 9000000 /dev/urandom > /tmp/stream && rclone rcat sink:state/extra/stream < /tmp/stream
        rclone cat sink:state/extra/stream | cmp - /tmp/stream
        rclone cat --offset 1000000 --count 5 sink:state/extra/stream | cmp - <(tail -c +1000001 /tmp/stream | head -c 5)
        rclone moveto sink:state/extra/rcat "sink:state/extra/moved & a b" && rclone lsf sink:state/extra
        rclone purge sink:state/extra && test -z "$(rclone lsf sink:state/extra)"`);
      expect(said).toContain("0 differences found");
      expect(said).toContain("moved & a b\nstream\n");
    });
  });

  test("s3cmd: put, in parts too, get, ls, cp, mv, del, sync", async () => {
    await run(tree("s3cmd"));
    await saved(async () => {
      const said = await run(`
        s3cmd sync /data/s3cmd/ s3://state/s3cmd/
        s3cmd put --multipart-chunk-size-mb=5 --add-header=x-amz-meta-note:hi /data/s3cmd/large s3://state/extra/parts
        s3cmd get s3://state/extra/parts /tmp/s3cmd-parts && cmp /tmp/s3cmd-parts /data/s3cmd/large
        s3cmd cp s3://state/extra/parts s3://state/extra/copy
        s3cmd mv s3://state/extra/copy "s3://state/extra/moved & a b"
        s3cmd ls s3://state/extra/ && s3cmd info s3://state/extra/parts | grep x-amz-meta-note
        s3cmd get "s3://state/extra/moved & a b" - > /tmp/s3cmd-moved && cmp /tmp/s3cmd-moved /data/s3cmd/large
        s3cmd del --recursive --force s3://state/extra/ && test -z "$(s3cmd ls s3://state/extra/)"
        mkdir -p /tmp/s3cmd && s3cmd sync s3://state/s3cmd/ /tmp/s3cmd/ && diff -r /data/s3cmd /tmp/s3cmd`);
      expect(said).toMatch(/moved & a b\n.*\/parts\n/);
      expect(said).toMatch(/x-amz-meta-note:\s+hi/);
    });
  });

  for (const [name, root] of [
    ["aws", ""],
    ["aws 2.9", "/bookworm"],
  ] as const) {
    const directory = root === "" ? "aws" : "aws29";
    const aws = root === "" ? "command aws" : "chroot /bookworm aws";
    /** Of the newer one, the checksums that S3 has learned since. */
    const algorithms = root === "" ? "CRC32 CRC32C SHA1 SHA256 CRC64NVME" : "CRC32 CRC32C SHA1 SHA256";

    test(`${name}: s3 sync, cp in parts, mv, rm`, async () => {
      await run(
        `${tree(directory)}\nmkdir -p ${root}/data ${root}/tmp && cp -a /data/${directory} ${root}/data/ 2>/dev/null || true`,
      );
      await saved(async () => {
        const said = await run(`
          aws() { ${aws} --endpoint-url http://sink.internal "$@"; }
          aws s3 sync --only-show-errors /data/${directory} s3://state/${directory}
          test -z "$(aws s3 sync --dryrun /data/${directory} s3://state/${directory})"
          aws s3 cp --only-show-errors --metadata note=hi --content-type text/css /data/${directory}/large s3://state/extra/large
          aws s3 mv --only-show-errors s3://state/extra/large "s3://state/extra/moved & a b"
          aws s3 cp --only-show-errors "s3://state/extra/moved & a b" - | cmp - /data/${directory}/large
          aws s3api head-object --bucket state --key "extra/moved & a b" --query '[ContentLength,ContentType,Metadata.note]' --output text
          printf hello | aws s3 cp --only-show-errors - s3://state/extra/stream && aws s3 ls --recursive s3://state/extra/
          aws s3 rm --recursive --only-show-errors s3://state/extra/ && test "$(aws s3 ls s3://state/extra/ | wc -l)" = 0
          aws s3 sync --only-show-errors s3://state/${directory} /tmp/${directory} && diff -r /data/${directory} ${root}/tmp/${directory}`);
        expect(said).toMatch(/12582917\s+text\/css\s+hi\n/);
        expect(said).toMatch(/extra\/moved & a b\n.*extra\/stream\n/);
      });
    });

    test(`${name}: s3api put, get, head, copy and parts, with checksums and conditions`, async () => {
      await ask("/open");
      const said = await run(`
        aws() { ${aws} --endpoint-url http://sink.internal --output text "$@"; }
        api() { local call=$1; shift; aws s3api "$call" --bucket state "$@"; }
        head -c 100000 /dev/urandom > ${root}/tmp/body && head -c 5242880 /dev/urandom > ${root}/tmp/part
        for sum in ${algorithms}; do
          api put-object --key api/$sum --body /tmp/body --checksum-algorithm $sum --metadata sum=$sum > /dev/null
        done
        api get-object --key api/SHA256 --checksum-mode ENABLED /tmp/got > /dev/null && cmp ${root}/tmp/body ${root}/tmp/got
        api head-object --key api/SHA1 --query '[ContentLength,Metadata.sum]'
        api get-object --key api/SHA1 --range bytes=10-19 /tmp/range > /dev/null && tail -c +11 ${root}/tmp/body | head -c 10 | cmp - ${root}/tmp/range
        api put-object --key api/SHA1 --body /tmp/body --content-md5 1B2M2Y8AsgTpgAmY7PhCfg== 2>&1 | grep -o BadDigest
        api get-object --key api/none /tmp/none 2>&1 | grep -o NoSuchKey
        api get-object --key api/SHA1 --if-match '"x"' /tmp/none 2>&1 | grep -oE 'PreconditionFailed|412'
        api copy-object --key api/copy --copy-source state/api/SHA1 > /dev/null
        api list-objects-v2 --prefix api/ --max-items 2 --query 'Contents[].Key'
        id=$(api create-multipart-upload --key api/parts --checksum-algorithm SHA256 --query UploadId)
        for number in 2 1; do
          api upload-part --key api/parts --upload-id $id --part-number $number --body /tmp/part --checksum-algorithm SHA256 > /dev/null
        done
        api list-parts --key api/parts --upload-id $id --query 'Parts[].Size'
        api list-multipart-uploads --query 'Uploads[].Key'
        parts=$(aws --output json s3api list-parts --bucket state --key api/parts --upload-id $id --query '{Parts: Parts[].{PartNumber: PartNumber, ETag: ETag}}')
        api complete-multipart-upload --key api/parts --upload-id $id --multipart-upload "$parts" > /dev/null
        api get-object --key api/parts /tmp/got > /dev/null && cat ${root}/tmp/part ${root}/tmp/part | cmp - ${root}/tmp/got
        api delete-objects --delete 'Objects=[{Key=api/copy},{Key=api/parts}]' --query 'Deleted[].Key'
        aws s3 rm --recursive --only-show-errors s3://state/api/`);
      const words = said.split(/\s+/).filter(Boolean);
      const [last] = algorithms.split(" ").slice(-1);
      expect(words.slice(0, 5)).toEqual([
        "100000",
        "SHA1",
        "BadDigest",
        "NoSuchKey",
        expect.stringMatching(/^(PreconditionFailed|412)$/),
      ]);
      expect(said).toMatch(/5242880\s+5242880\s+api\/parts\s+api\/copy\s+api\/parts/);
      expect(last).toBeDefined();
    });
  }

  test("aws and curl: a condition of a write holds, and no path leads out of the bucket", async () => {
    await ask("/open");
    const said = await run(`
      api() { local call=$1; shift; aws --endpoint-url http://sink.internal s3api "$call" --bucket state "$@"; }
      printf one > /tmp/one
      api put-object --key once --body /tmp/one --if-none-match '*' > /dev/null
      api put-object --key once --body /tmp/one --if-none-match '*' 2>&1 | grep -o PreconditionFailed
      api delete-object --key once
      trick() { curl -s --path-as-is -H "x-boilerhouse-access-key: $KEY" -T /tmp/one "http://sink.internal$1" | grep -oE 'InvalidURI|NoSuchBucket'; }
      trick /state/../other/x && trick /state/a%2F..%2F..%2Fother/x && trick /../../tenants/x
      test "$(rclone lsf sink:state | grep -cE '^(a|other|once|tenants)/?$' || true)" = 0`);
    expect(said.split(/\s+/).filter(Boolean)).toEqual([
      "PreconditionFailed",
      "NoSuchBucket",
      "InvalidURI",
      "NoSuchBucket",
    ]);
  });
  // The last one: from here on the container belongs to nobody.
  test("a container whose tenant went to another one cannot finish what it began, write, delete or read", async () => {
    const before = await ask("/describe");
    await ask("/open");
    await run(`
      head -c 5242880 /dev/urandom > /tmp/late
      api() { local call=$1; shift; aws --endpoint-url http://sink.internal --output text s3api "$call" --bucket state "$@"; }
      api create-multipart-upload --key late/parts --query UploadId > /tmp/upload
      api upload-part --key late/parts --upload-id $(cat /tmp/upload) --part-number 1 --body /tmp/late --query ETag > /tmp/etag
      put() { curl -s -o /dev/null -w '%{http_code}' -H "x-boilerhouse-access-key: $KEY" -H Expect: "$@"; }
      put --limit-rate 1M -T /tmp/late http://sink.internal/state/late/slow > /tmp/slow & sleep 1; disown -a`);
    const superseded = await ask<object>("/supersede");
    expect(superseded, "nothing of it is visible").toMatchObject({ ...(before as object), epoch: 2 });
    const said = await run(`
      api() { local call=$1; shift; aws --endpoint-url http://sink.internal --output text s3api "$call" --bucket state "$@" 2>&1 || true; }
      until test -s /tmp/slow; do sleep 0.2; done; cat /tmp/slow; echo
      api complete-multipart-upload --key late/parts --upload-id $(cat /tmp/upload) \
        --multipart-upload "Parts=[{PartNumber=1,ETag=$(cat /tmp/etag)}]" | grep -o AccessDenied
      api put-object --key late/new --body /tmp/late | grep -o AccessDenied
      api delete-object --key aws/large | grep -o AccessDenied
      api list-objects-v2 | grep -o AccessDenied
      rclone sync /data sink:state 2>&1 | grep -o AccessDenied | head -1
      tar -c -C /data . | curl -s -o /dev/null -w '%{http_code}' -H "x-boilerhouse-access-key: $KEY" -H Expect: -T - http://sink.internal/.bundle/staging.tar`);
    expect(said.split(/\s+/).filter(Boolean)).toEqual(["403", ...Array(5).fill("AccessDenied"), "403"]);
    expect(await ask("/commit")).toMatchObject({ ok: false, failure: { code: "stale_epoch" } });
    expect(await ask("/describe"), "the head and every generation").toEqual(superseded);
  });
});

/** Every client's own words for: this endpoint, the boot's key, path-style addresses. */
const settings = (key: string): string => `
  export KEY=${key} AWS_ACCESS_KEY_ID=${key} AWS_SECRET_ACCESS_KEY=none AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
  export AWS_CONFIG_FILE=/root/aws-config AWS_PAGER= PYTHONUTF8=1 HOME=/root
  export RCLONE_CONFIG_SINK_TYPE=s3 RCLONE_CONFIG_SINK_PROVIDER=Other RCLONE_CONFIG_SINK_ENDPOINT=http://sink.internal RCLONE_CONFIG_SINK_REGION=us-east-1
  export RCLONE_CONFIG_SINK_ACCESS_KEY_ID=${key} RCLONE_CONFIG_SINK_SECRET_ACCESS_KEY=none RCLONE_CONFIG_SINK_FORCE_PATH_STYLE=true
  s3cmd() { command s3cmd --config=/root/s3cfg --access_key=${key} --secret_key=none --no-progress "$@"; }`;

const SET_UP = `
  printf '[default]\\ns3 =\\n  addressing_style = path\\n' > /root/aws-config
  printf '[default]\\nhost_base = sink.internal\\nhost_bucket = sink.internal\\nuse_https = False\\n' > /root/s3cfg
  cp /etc/resolv.conf /etc/hosts /bookworm/etc/ && cp /root/aws-config /bookworm/root/`;

/** Names as people have them; files that are empty, small, larger than what the Vault keeps inline, and larger than a part. */
const tree = (directory: string): string => `
  mkdir -p "/data/${directory}/sub dir/deep" && cd "/data/${directory}"
  : > empty && printf small > 'a b+c%25 & (ü).txt' && printf dot > .hidden && printf x > "sub dir/deep/#'1'"
  head -c 100001 /dev/urandom > "sub dir/middle" && head -c 12582917 /dev/urandom > large`;

const RESTORE = `
  rm -rf /tmp/restored && mkdir /tmp/restored && cd /tmp/restored
  curl -sSf -H "x-boilerhouse-access-key: $KEY" http://sink.internal/.bundle/GENERATION.tar | tar -x
  (cd tree && sha256sum --check --quiet ../sums) && diff -r /data tree && echo restored and the same`;
