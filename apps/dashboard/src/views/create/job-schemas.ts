import { queryOptions } from "@tanstack/react-query";
import { errorOf } from "../../connection/api-errors.ts";
import { baseUrl, pageHeaders } from "../../connection/genga.ts";
import { fieldsOf, type Field, type Schema } from "./job-fields.ts";
import { type JobKind } from "./create-search.ts";

const schemaNames = {
  ...{ image: "ImageJob", video: "VideoJob", template: "TemplateJob", workflow: "WorkflowJob" },
} as const;

/** What has inputs of its own, makes sense in batches alone, or holds secrets of any form. */
const without = ["type", "workflow", "template", "values", "extraData", "key"];

/** The fields of each kind of jobs, as this installation's API takes them. */
export const jobFieldsQuery = queryOptions({
  queryKey: ["job-fields"],
  queryFn: async ({ signal }): Promise<Record<JobKind, Field[]>> => {
    const response = await fetch(`${baseUrl}/openapi.json`, { signal, headers: pageHeaders });
    if (!response.ok) throw await errorOf(response);
    const { components } = (await response.json()) as { components: { schemas: Record<string, Schema> } };
    const fields = (kind: JobKind): Field[] => fieldsOf(components.schemas[schemaNames[kind]] ?? {}, without);
    return {
      image: fields("image"),
      video: fields("video"),
      template: fields("template"),
      workflow: fields("workflow"),
    };
  },
  staleTime: Infinity,
});
