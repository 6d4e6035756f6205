// Runs a server script as the platform does: node run_script.mjs <script> <context as JSON>; prints its response.
const [name, context] = process.argv.slice(2)

class HttpResponse {
  constructor(status, content) {
    Object.assign(this, { status, content: JSON.parse(content) })
  }
}

const { default: script } = await import(`./${name}.mjs`)
let answer
await script({ ...JSON.parse(context), HttpResponse, setResponse: (response) => (answer = response) })
console.log(JSON.stringify(answer))
