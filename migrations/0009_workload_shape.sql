-- A workload as lists show it, but for its pools: JSON made when it is written, so that a page of a thousand is one text
-- from here on; and by which defaults it was completed. One made by others is completed when it is read (src/registry/workload-list.ts).
ALTER TABLE workloads ADD COLUMN shown TEXT NOT NULL DEFAULT '';
ALTER TABLE workloads ADD COLUMN shape TEXT NOT NULL DEFAULT '';
