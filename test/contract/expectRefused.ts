/** A refused request: what is the same of all of them. */
import { expect } from 'vitest';
import { ERRORS } from '../../domain/errors.ts';
import { OWN, type CallOptions, type TestApi } from './testApi.ts';

/** Calls, and holds the refusal to its promises: one body, the API's media type, the catalogue's status, no new fact. */
export const expectRefused =
  (t: () => TestApi) => async (method: string, path: string, options: CallOptions, code: string) => {
    const before = await t().facts();
    const answer = await t().call(method, path, options);
    expect(answer.body).toMatchObject({ code });
    expect(answer.status).toBe(ERRORS[code as keyof typeof ERRORS].status);
    expect(answer.headers.get('content-type')).toMatch(
      path.startsWith(OWN) ? /^application\/problem\+json/ : /^application\/json/,
    );
    expect(answer.body).toMatchObject({
      message: answer.body['detail'],
      status_code: answer.status,
      title: expect.any(String),
    });
    expect(await t().facts()).toBe(before);
    return answer;
  };
