// What the front end of the tokens' document does, with its axios: node axios.mjs <url> <password>; prints each result.
import axios from 'axios'

const [url, password] = process.argv.slice(2)
const results = {}

async function post (path, body, token, auth) {
  const headers = token ? { Authorization: `Token ${token}` } : {}
  try {
    const { status, data } = await axios.post(`${url}/users/${path}`, body, { headers, auth })
    return { status, data }
  } catch ({ response: { status, data } }) {
    return { status, data }
  }
}

results.login = await post('login', { user: { username: 'root', password } })
const { token } = results.login.data.user
results.wrong = await post('login', { user: { username: 'root', password: 'wrong password' } })
results.noob = await post('noob', { user: { username: 'noob', name: 'mike wazowski', password: 'mike mike mike' } }, token)
results.twice = await post('noob', { user: { username: 'noob', name: 'mike wazowski', password: 'mike mike mike' } }, token)
results.blank = await post('admin', { user: { username: 'admin1' } }, token)
results.anonymous = await post('admin', { user: { username: 'admin1', name: 'mike krzyzewski', password: 'mike mike mike' } })
results.oauth = await post('login/oauth', { info: { netid: 'hy103', name: 'Bill Yu' } }, null, { username: 'root', password })
results.permission = await post('permission', { user: { username: 'hy103', oauth: 1, permissoin: 'admin' } }, token)
results.promoted = await post('manager', { user: { username: 'm', name: 'm', password: 'mike mike mike' } }, results.oauth.data.user.token)
console.log(JSON.stringify(results))
