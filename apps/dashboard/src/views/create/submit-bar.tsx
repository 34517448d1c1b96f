import { Alert, Button, Group, List, Stack, Text } from "@mantine/core";
import { type CheckedBatch } from "@genga/client";
import { type ReactNode } from "react";
import { type Refusal } from "./refusals.ts";

interface SubmitBarProps {
  readonly isSweep: boolean;
  /** Of the form as it is now; absent once anything was changed. */
  readonly checked: CheckedBatch | undefined;
  readonly isChecking: boolean;
  readonly isSubmitting: boolean;
  /** A file is on its way: the job would be made without it. */
  readonly isUploading: boolean;
  readonly refusal: Refusal | undefined;
  readonly onCheck: () => void;
  readonly onClear: () => void;
}

/** What the API said of the form, and the buttons. Many jobs are counted by the API before they can be submitted. */
export function SubmitBar(props: SubmitBarProps): ReactNode {
  const { isSweep, checked, isChecking, isSubmitting, isUploading, refusal, onCheck, onClear } = props;
  const others = refusal?.others.filter(({ nodeId }) => nodeId === undefined) ?? [];
  const total = checked?.total ?? 0;
  return (
    <Stack gap="sm">
      {refusal !== undefined && (
        <Alert color="red" title={refusal.title} role="alert">
          {refusal.fields.size > 0 && <Text size="sm">The reason stands at the field.</Text>}
          {others.map(({ text }, index) => (
            <Text key={index} size="sm" style={{ overflowWrap: "anywhere", whiteSpace: "pre-line" }}>
              {text}
            </Text>
          ))}
        </Alert>
      )}
      {checked !== undefined && (
        <Alert
          color="teal"
          role="status"
          title={
            total === 1
              ? "This job would be accepted"
              : `${total.toLocaleString("en")} jobs would be accepted`
          }
        >
          {checked.warnings.length > 0 && (
            <List size="sm">
              {checked.warnings.map((warning) => (
                <List.Item key={warning} style={{ overflowWrap: "anywhere" }}>
                  {warning}
                </List.Item>
              ))}
            </List>
          )}
        </Alert>
      )}
      <Group>
        {isSweep && checked === undefined ? (
          <Button loading={isChecking} disabled={isUploading} onClick={onCheck}>
            Count and check
          </Button>
        ) : (
          <>
            <Button type="submit" loading={isSubmitting} disabled={isUploading}>
              {isSweep ? `Submit ${total.toLocaleString("en")} ${total === 1 ? "job" : "jobs"}` : "Submit"}
            </Button>
            {!isSweep && (
              <Button variant="default" loading={isChecking} disabled={isUploading} onClick={onCheck}>
                Only check
              </Button>
            )}
          </>
        )}
        <Button variant="subtle" onClick={onClear}>
          Clear the form
        </Button>
      </Group>
    </Stack>
  );
}
