import { CloseButton, Group, Image, Input, NumberInput, Text, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type ReactNode } from "react";
import { genga, localUrl } from "../../connection/genga.ts";
import { type OutputValue } from "./job-body.ts";

interface OutputInputProps {
  readonly label: string;
  readonly description?: string;
  readonly required: boolean;
  readonly error?: string;
  readonly value: OutputValue;
  readonly onChange: (value: OutputValue | undefined) => void;
}

const idPattern = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

/** An output of another job, which is waited for if it does not exist yet. */
export function OutputInput({
  label,
  description,
  required,
  error,
  value,
  onChange,
}: OutputInputProps): ReactNode {
  const { from, output } = value;
  const outputs = useQuery({
    queryKey: ["job-outputs", from],
    queryFn: ({ signal }) => genga.outputs(from, { signal }),
    enabled: idPattern.test(from),
    retry: false,
  });
  const found = outputs.data?.find(({ index }) => String(index) === output);
  const thumbnail = found?.links.thumbnail;
  return (
    <Input.Wrapper
      label={label}
      labelElement="div"
      description={description}
      required={required}
      error={error}
    >
      <Group gap="sm" mt={4} align="flex-end">
        {thumbnail !== undefined && (
          <Image src={`${localUrl(thumbnail)}?size=128`} alt="" w={64} h={64} fit="contain" radius="sm" />
        )}
        <TextInput
          label="Job"
          placeholder="its id, or its address"
          style={{ flex: "1 1 220px" }}
          value={from}
          error={error !== undefined}
          onChange={(event) => {
            const typed = event.currentTarget.value.trim();
            onChange({ from: idPattern.exec(typed)?.[0] ?? typed, output });
          }}
        />
        <NumberInput
          label="Output, from 0"
          w={130}
          min={0}
          clampBehavior="none"
          value={output}
          onChange={(changed) => {
            onChange({ from, output: String(changed) });
          }}
        />
        <CloseButton
          mb={4}
          aria-label={`Remove ${label}`}
          onClick={() => {
            onChange(undefined);
          }}
        />
      </Group>
      {outputs.data !== undefined && found === undefined && (
        <Text size="sm" c="dimmed" mt={4}>
          The job has no such output now. One that is still to be made is waited for.
        </Text>
      )}
    </Input.Wrapper>
  );
}
