-- By which defaults a specification was completed: lists pass the text of the present ones on as it is (src/registry/workloads.ts).
ALTER TABLE workloads ADD COLUMN shape TEXT NOT NULL DEFAULT '';
