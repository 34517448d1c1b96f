import { type Job } from "@genga/client";
import { Skeleton } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useMemo, useState, type ReactNode } from "react";
import { useLive } from "../../connection/live-jobs.ts";
import { workflowQuery } from "../../connection/queries.ts";
import { ErrorState } from "../../parts/error-state.tsx";
import { GraphOrList } from "../../parts/graph-or-list.tsx";
import { Section } from "../../parts/section.tsx";
import { nodesOf, statesOf, type GraphNode, type NodeState } from "./graph-layout.ts";
import { changedSearch } from "./job-search.ts";
import { NodeList } from "./node-list.tsx";
import { WorkflowGraph } from "./workflow-graph.tsx";

const route = getRouteApi("/frame/jobs/$id");

/** The nodes of the graph that the job runs, drawn or as a list, each with its state. */
export function WorkflowSection({ job }: { job: Job }): ReactNode {
  const query = useQuery(workflowQuery(job.id));
  const { nodes: form = "graph" } = route.useSearch();
  const navigate = route.useNavigate();
  const choose = (chosen: string): void => {
    void navigate({
      search: (old) => changedSearch(old, { nodes: chosen === "list" ? "list" : undefined }),
      ...{ replace: true, resetScroll: false },
    });
  };
  return (
    <Section
      title="Nodes"
      aside={<GraphOrList label="How the nodes are shown" form={form} onChange={choose} />}
    >
      {query.data === undefined ? (
        query.isError ? (
          <ErrorState error={query.error} onRetry={() => void query.refetch()} />
        ) : (
          <Skeleton height={320} />
        )
      ) : (
        <Nodes job={job} workflow={query.data} isList={form === "list"} />
      )}
    </Section>
  );
}

function Nodes({
  job,
  workflow,
  isList,
}: {
  job: Job;
  workflow: Record<string, unknown>;
  isList: boolean;
}): ReactNode {
  const nodes = useMemo(() => nodesOf(workflow), [workflow]);
  const states = useNodeStates(job, nodes);
  return isList ? (
    <NodeList job={job} nodes={nodes} states={states} />
  ) : (
    <WorkflowGraph job={job} nodes={nodes} states={states} />
  );
}

/** Changes when a node begins or ends, and not with each step. */
function useNodeStates(job: Job, nodes: readonly GraphNode[]): ReadonlyMap<string, NodeState> {
  const { attempt, phase, progress } = useLive(job);
  const runningNode = progress.node;
  const seen = useSeen(attempt, runningNode);
  const failedNode = job.failure?.nodeId ?? null;
  const { status } = job;
  return useMemo(
    () => statesOf(nodes, { status, phase, runningNode, failedNode, seen }),
    [nodes, status, phase, runningNode, failedNode, seen],
  );
}

/** The nodes that ran before this one, in the same attempt, since the page was opened. */
function useSeen(attempt: number, node: string | null): ReadonlySet<string> {
  const [memory, setMemory] = useState({ attempt, last: node, seen: new Set<string>() });
  if (memory.attempt !== attempt) setMemory({ attempt, last: node, seen: new Set() });
  else if (memory.last !== node) {
    const seen = memory.last === null ? memory.seen : new Set([...memory.seen, memory.last]);
    setMemory({ attempt, last: node, seen });
  }
  return memory.seen;
}
