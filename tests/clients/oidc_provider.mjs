// A certified OpenID provider: node oidc_provider.mjs <port> <redirect URL> <client id> <client secret>
// Whoever logs in there is who they say they are. It says when it serves, and ends with its standard input.
import { generateKeyPairSync } from 'node:crypto'
import { Provider } from 'oidc-provider'

const [port, redirectUrl, clientId, clientSecret] = process.argv.slice(2)
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUrl] }],
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'the first', use: 'sig', alg: 'RS256' }] },
  cookies: { keys: ['a key of this test run'] },
  pkce: { required: () => true },
  findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) })
})
provider.listen(port, '127.0.0.1', () => console.log(JSON.stringify('serves')))
process.stdin.on('end', () => process.exit()).resume()
