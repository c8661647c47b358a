import { describe, expect, it } from "vitest";
import { FileError, VirtualFiles } from "../../src/runtime/simulated/files.ts";

const WORKLOAD = { uid: 10001, gid: 10001 };
const files = () => new VirtualFiles(() => 1_000);

describe("virtual files", () => {
  it("show every change in their times, also while the clock stands still", () => {
    const fs = files();
    const first = fs.write("/a", "1").mtimeNs;
    const second = fs.write("/a", "2").mtimeNs;
    expect(second).toBeGreaterThan(first);
    fs.change("/a", { mtimeNs: first });
    expect(fs.stat("/a")?.mtimeNs).toBe(first);
    expect(fs.stat("/a")?.ctimeNs).toBeGreaterThan(second);
  });

  it("keep inode, mode and owner of a file that is written again", () => {
    const fs = files();
    const { inode } = fs.write("/a", "1", WORKLOAD, 0o600);
    fs.write("/a", "2");
    expect(fs.stat("/a")).toMatchObject({ inode, mode: 0o600, uid: 10001 });
  });

  it("follow symlinks, absolute and relative ones, and notice loops", () => {
    const fs = files();
    fs.makeDirectory("/data/sub");
    fs.write("/data/sub/a", "text");
    fs.symlink("/data/up", "sub/../sub");
    fs.symlink("/abs", "/data/up/a");
    expect(fs.readText("/abs")).toBe("text");
    expect(fs.lstat("/abs")?.kind).toBe("symlink");
    fs.symlink("/loop", "/loop");
    expect(() => fs.stat("/loop")).toThrow(FileError);
  });

  it("walk parents first and in order", () => {
    const fs = files();
    for (const path of ["/d/b/2", "/d/b/1", "/d/a"]) {
      fs.makeDirectory(path.replace(/\/[^/]*$/, ""));
      fs.write(path, "");
    }
    expect([...fs.walk("/d")].map(({ path }) => path)).toEqual(["", "a", "b", "b/1", "b/2"]);
  });

  it("let a user write only where the mode allows it", () => {
    const fs = files();
    fs.makeDirectory("/root-only", undefined, 0o700);
    fs.makeDirectory("/own", WORKLOAD, 0o700);
    expect([fs.mayWrite("/root-only", WORKLOAD), fs.mayWrite("/own", WORKLOAD)]).toEqual([false, true]);
    expect(fs.mayWrite("/root-only", { uid: 0, gid: 0 })).toBe(true);
  });
});
